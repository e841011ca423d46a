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
from faceemo.models.layers.native import native_convolutions
from faceemo.train import freezing
from faceemo.train.eval_step import plain_inputs

_BATCH = 8


class Precision(NamedTuple):
    """A way to compute, and how far its results may be from the CPU's in float32.

    Attributes:
        dtype: The field `dtype` of a configuration.
        products: Value of `jax_default_matmul_precision`.
        logits: Tolerance of the logits, see `relative_difference`.
        share: Share of the difference of the CPU's own gradients in bfloat16 that counts towards
            the tolerance of a layer's gradients.
    """

    dtype: str
    products: str
    logits: float
    share: float


# One rounding is wrong by at most u = 2**-p, of p bits of mantissa with the hidden one. In float32
# (2**-24) the order of sums of up to 25,088 products counts for more: between XLA's and faceemo's
# formulations on a CPU, logits differed by 1e-6. TF32 (u = 2**-11) and bfloat16 (u = 2**-8) round
# the factors of float32 sums, independently in each layer: 16 u stands for a hundred layers whose
# errors add up like random numbers, with some amplification. In bfloat16 on a CPU, VGG16 was at
# 1.6 u and ResNet50V2 at 2.3 u.
PRECISIONS = {
    "float32": Precision("float32", "highest", 1e-5, 0.0),
    # Where a device has no TF32, this is float32 or better.
    "tf32": Precision("float32", "tensorfloat32", 16 * 2.0**-11, 1.0),
    "bfloat16": Precision("bfloat16", "default", 16 * 2.0**-8, 3.0),
}
# Gradients jump where a rounding moves a value across the kink of a ReLU. A share s of such values
# moves the gradients of a layer by about the root of s, so that in float32 a single one of 18,000
# moved a layer of ResNet50V2 by 1.3e-2. In bfloat16 on a CPU the lowest layer of VGG16 moved by
# 0.32, and a layer of ResNet50V2 by 1.2, at 48 pixels: a fixed tolerance would be too wide for the
# upper layers or too narrow for the lower ones.
GRADIENTS_TOLERANCE = 0.05
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
        'passed', and for 'logits', 'gradients' and 'adam' the relative 'difference' (None if it is
        not finite) and its 'tolerance'; of gradients and Adam's moves for the 'layer' that comes
        closest to its tolerance, or exceeds it most.
    """
    expected = compute_on_cpu(arch, size, "float32")
    chosen = PRECISIONS[precision]
    rough = compute_on_cpu(arch, size, "bfloat16") if chosen.share else expected
    found = compute(arch, size, precision, jax.devices()[0], expected.gradients)
    return compare(found, expected, rough, chosen)


@functools.lru_cache(maxsize=2)
def compute_on_cpu(arch: str, size: int, precision: str) -> Outcome:
    """Computes the CPU's results, once for all precisions of a network."""
    with native_convolutions():
        return compute(arch, size, precision, jax.devices("cpu")[0], None)


def compute(arch: str, size: int, precision: str, device: Any, gradients: Any | None) -> Outcome:
    """Computes logits, gradients, and Adam's step along `gradients` (None: along its own)."""
    dtype, products, *_ = PRECISIONS[precision]
    config = make_config(arch, f"9,weights=none,image_size={size},dtype={dtype}")
    model = models.build(config)
    params, statistics = draw_variables(arch, size).values()
    made = run_steps.make_batch(_BATCH)
    images, labels = made.images, made.labels

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


def compare(
    found: Outcome, expected: Outcome, rough: Outcome, precision: Precision
) -> dict[str, Any]:
    """Compares a device's outcome with the CPU's in float32, see `check`.

    Args:
        found: Outcome on the device.
        expected: Outcome on the CPU in float32.
        rough: Outcome on the CPU in bfloat16.
        precision: Precision of `found`.
    """
    noise = layer_differences(rough.gradients, expected.gradients)
    gradients = {
        layer: (difference, GRADIENTS_TOLERANCE + precision.share * noise[layer])
        for layer, difference in layer_differences(found.gradients, expected.gradients).items()
    }
    moves = {
        layer: (difference, ADAM_TOLERANCE)
        for layer, difference in layer_differences(found.moves, expected.moves).items()
    }
    logits = {"": (relative_difference(found.logits, expected.logits), precision.logits)}
    rows = {"logits": _judge(logits), "gradients": _judge(gradients), "adam": _judge(moves)}
    return {"passed": all(row.pop("passed") for row in rows.values()), **rows}


def layer_differences(found: Any, expected: Any) -> dict[str, float]:
    """Computes the relative difference of every layer of a tree.

    All arrays of a layer are compared together: alone, the bias before a BatchNorm would have no
    scale, because its gradient is zero but for rounding.
    """
    layers: dict[str, list[str]] = {}
    left, right = (traverse_util.flatten_dict(tree, sep="/") for tree in (found, expected))
    for path in right:
        layers.setdefault(path.rpartition("/")[0], []).append(path)

    def join(arrays: Any, paths: list[str]) -> np.ndarray:
        return np.concatenate([np.ravel(arrays[path]) for path in paths])

    return {
        layer: relative_difference(join(left, paths), join(right, paths))
        for layer, paths in layers.items()
    }


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Computes the norm of the difference over that of the expected; infinite if not finite."""
    difference = np.linalg.norm(np.float64(found) - np.float64(expected))
    if not difference:
        return 0.0
    ratio = difference / max(float(np.linalg.norm(np.float64(expected))), 1e-300)
    return float(ratio) if np.isfinite(ratio) else np.inf


def _judge(differences: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """Selects the worst of {layer: (difference, tolerance)}."""
    layer, (difference, tolerance) = max(
        differences.items(), key=lambda item: item[1][0] / item[1][1]
    )
    return {
        "difference": difference if np.isfinite(difference) else None,
        "tolerance": tolerance,
        "layer": layer,
        "passed": difference <= tolerance,
    }
