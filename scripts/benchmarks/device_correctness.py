"""Part of device.py: an accelerator's logits, gradients and Adam steps beside those of the CPU.

The CPU computes in float32 with XLA's own convolutions, whatever the accelerator has, so that on a
machine without one faceemo's formulations for CPUs are compared with XLA's.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import run_steps
from flax import traverse_util

from faceemo import models
from faceemo.config import make_config
from faceemo.models.layers.convolution import native_convolutions
from faceemo.train import freezing
from faceemo.train.eval_step import plain_inputs

_BATCH = 8


class Precision(NamedTuple):
    """A way to compute.

    Attributes:
        dtype: The field `dtype` of a configuration.
        products: Value of `jax_default_matmul_precision`.
        unit: Largest relative error of one rounding, 2**-p for p bits of mantissa, the hidden one
            included.
    """

    dtype: str
    products: str
    unit: float


PRECISIONS = {
    "float32": Precision("float32", "highest", 2.0**-24),
    # Rounds the factors of products to 10 stored bits; where a device has no TF32, it is float32 or
    # better.
    "tf32": Precision("float32", "tensorfloat32", 2.0**-11),
    "bfloat16": Precision("bfloat16", "default", 2.0**-8),
}
# Tolerances in units of one rounding. Errors of a layer add up like random numbers, and grow on
# their way through 13 to 81 layers with BatchNorm over small batches.
LOGITS_UNITS = 32.0
GRADIENTS_UNITS = 64.0
# Adam computes in float32 whatever the precision. In its second step, 1 - 0.999**2 multiplies the
# error of the power, one or two roundings, by 500.
ADAM_TOLERANCE = 1e-4


class Outcome(NamedTuple):
    """What one device computed.

    Attributes:
        logits: Float32 [B, 4], in inference.
        gradients: Tree like the parameters, of the mean cross-entropy in training mode.
        moves: Tree like the parameters: what Adam adds in its second step, whose gradients are half
            of those of its first.
    """

    logits: Any
    gradients: Any
    moves: Any


def check(arch: str, size: int, precision: str) -> dict[str, Any]:
    """Compares the first device with the CPU.

    Returns:
        'passed', and for 'logits', 'gradients' and 'adam' the largest relative 'difference' (None
        if it is not finite) and the 'tolerance'; for gradients also the 'layer'.
    """
    expected = compute_reference(arch, size)
    found = compute(arch, size, precision, jax.devices()[0], expected.gradients)
    return compare(found, expected, PRECISIONS[precision].unit)


@functools.lru_cache(maxsize=1)
def compute_reference(arch: str, size: int) -> Outcome:
    """Computes the CPU's results in float32, once for all precisions of a network."""
    with native_convolutions():
        return compute(arch, size, "float32", jax.devices("cpu")[0], None)


def compute(
    arch: str, size: int, precision: str, device: jax.Device, gradients: Any | None
) -> Outcome:
    """Computes logits, gradients, and Adam's step along `gradients` (None: along its own)."""
    dtype, products, _ = PRECISIONS[precision]
    config = make_config(arch, f"9,weights=none,image_size={size},dtype={dtype}")
    model = models.build(config)
    params, statistics = draw_variables(arch, size).values()
    images, labels, *_ = run_steps.make_batch(_BATCH)

    def loss(params: Any, statistics: Any, inputs: jax.Array) -> jax.Array:
        logits, _ = model.apply(params, statistics, inputs, train=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    @jax.jit
    def run(params: Any, statistics: Any, images: jax.Array) -> tuple[jax.Array, Any]:
        inputs = plain_inputs(images, model, model.preprocessing)
        logits, _ = model.apply(params, statistics, inputs)
        return logits, jax.grad(loss)(params, statistics, inputs)

    optimizer = freezing.make_optimizer(1e-3, freezing.label_params(model, params))

    @jax.jit
    def move(params: Any, gradients: Any) -> Any:
        _, state = optimizer.update(gradients, optimizer.init(params), params)
        moves, _ = optimizer.update(jax.tree.map(lambda g: g / 2, gradients), state, params)
        return moves

    params = jax.device_put(params, device)
    with jax.default_matmul_precision(products):
        placed = jax.device_put((statistics, images), device)
        logits, own = jax.device_get(run(params, *placed))
    along = jax.device_put(own if gradients is None else gradients, device)
    return Outcome(logits, own, jax.device_get(move(params, along)))


@functools.lru_cache(maxsize=1)
def draw_variables(arch: str, size: int) -> dict[str, Any]:
    """Draws the variables of a network, which are the same in all precisions."""
    return run_steps.draw_variables(
        models.build(make_config(arch, f"9,weights=none,image_size={size}"))
    )


def compare(found: Outcome, expected: Outcome, unit: float) -> dict[str, Any]:
    """Compares two outcomes, see `check`; `unit` is the error of one rounding."""
    layer, gradients = worst_layer(found.gradients, expected.gradients)
    _, moves = worst_layer(found.moves, expected.moves)
    rows = {
        "logits": _judge(relative_difference(found.logits, expected.logits), LOGITS_UNITS * unit),
        "gradients": _judge(gradients, GRADIENTS_UNITS * unit) | {"layer": layer},
        "adam": _judge(moves, ADAM_TOLERANCE),
    }
    return {"passed": all(row.pop("passed") for row in rows.values()), **rows}


def worst_layer(found: Any, expected: Any) -> tuple[str, float]:
    """Finds the layer of a tree with the largest relative difference.

    All arrays of a layer are compared together: alone, the bias before a BatchNorm would have no
    scale, because its gradient is zero but for rounding.
    """
    layers: dict[str, list[str]] = {}
    left, right = (traverse_util.flatten_dict(tree, sep="/") for tree in (found, expected))
    for path in right:
        layers.setdefault(path.rpartition("/")[0], []).append(path)

    def join(arrays: Any, paths: list[str]) -> np.ndarray:
        return np.concatenate([np.ravel(arrays[path]) for path in paths])

    differences = {
        layer: relative_difference(join(left, paths), join(right, paths))
        for layer, paths in layers.items()
    }
    return max(differences.items(), key=lambda pair: pair[1])


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Computes the norm of the difference over that of the expected; infinite if not finite."""
    difference = np.linalg.norm(np.float64(found) - np.float64(expected))
    if not difference:
        return 0.0
    ratio = difference / max(float(np.linalg.norm(np.float64(expected))), 1e-300)
    return float(ratio) if np.isfinite(ratio) else np.inf


def _judge(difference: float, tolerance: float) -> dict[str, Any]:
    return {
        "difference": difference if np.isfinite(difference) else None,
        "tolerance": tolerance,
        "passed": difference <= tolerance,
    }
