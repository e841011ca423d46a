"""Run as a program: what a training step computes and keeps at each unfreeze level (see train.py).

python train_flops.py ARCH SIZE BATCH LEVEL...

Prints JSON, {level: {what: number}}. 'counted' are the operations that XLA's cost analysis finds in
the step as it is formulated for GPUs and TPUs and before XLA rewrites it: the formulation for CPUs
has loops, of which the analysis counts one pass, and what XLA makes of grouped convolutions there
multiplies by zeros. 'least' is what the layers' shapes imply.
"""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import devices
import flax.linen as nn
import jax
import network
from jax import lax

from faceemo import models
from faceemo.models.layers import convolution, layers, pooling
from faceemo.models.layers.batch_norm import BatchNorm

_WITH_PARAMETERS = (layers.Conv, layers.DepthwiseConv, layers.Dense, BatchNorm)


class Layer(NamedTuple):
    """A layer with parameters, in the order of the forward pass."""

    path: str  # 'backbone/block1_conv1'
    operations: int  # of one product with its kernel; 0 for BatchNorm


def main(arch: str, size: int, batch: int, levels: Sequence[str]) -> None:
    """Counts, and prints the JSON."""
    convolution.on_cpu = pooling.on_cpu = lambda: False
    found = {}
    for level in levels:
        model = network.network(arch, size, level)
        step, (state, *rest), trained = devices.training(arch, level, size, batch)
        cost = step.lower(state, *rest).cost_analysis()
        every = sum(layer.operations for layer in layers_of(model, batch))
        found[level] = {
            "counted": cost["flops"],
            "least": least(model, batch),
            "forward": every,
            "trained": 4 * trained,
            "optimizer": sum(leaf.nbytes for leaf in jax.tree.leaves(state.opt_state)),
        }
    print(json.dumps(found))


def least(model: models.Model, batch: int) -> int:
    """Operations of products with kernels that a training step cannot do without.

    The forward pass of all layers; the gradient of every kernel that trains; the gradient of the
    inputs of every layer above the lowest one that trains. Each costs as much as the layer's
    forward pass. Elementwise work is not counted.
    """
    every = layers_of(model, batch)
    patterns = network.patterns(model)
    trained = [any(re.fullmatch(p, f"{layer.path}/kernel") for p in patterns) for layer in every]
    lowest = trained.index(True)
    return (
        sum(layer.operations for layer in every)
        + sum(layer.operations for layer, trains in zip(every, trained, strict=True) if trains)
        + sum(layer.operations for layer in every[lowest + 1 :])
    )


def layers_of(model: models.Model, batch: int) -> list[Layer]:
    """All layers with parameters, in the order in which they are called, from a traced pass."""
    called: list[Layer] = []

    def note(following: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        outputs = following(*args, **kwargs)
        module = context.module
        if isinstance(module, _WITH_PARAMETERS) and context.method_name == "__call__":
            called.append(Layer("/".join(module.path), operations(module, args[0], outputs)))
        return outputs

    variables = model.shapes()
    size = model.image_size
    images = jax.ShapeDtypeStruct((batch, size, size, 3), "float32")
    with nn.intercept_methods(note):
        features = jax.eval_shape(
            lambda v, x: model.features(v["params"], v["batch_stats"], x)[0], variables, images
        )
        below = len(called)
        jax.eval_shape(lambda v, x: model.logits(v["params"], x), variables, features)
    parts = ["backbone"] * below + ["head"] * (len(called) - below)
    return [
        layer._replace(path=f"{part}/{layer.path}")
        for part, layer in zip(parts, called, strict=True)
    ]


def operations(module: Any, inputs: jax.Array, outputs: jax.Array) -> int:
    """Multiplications and additions; those with the zeros of the padding do not count."""
    if isinstance(module, layers.Dense):
        return 2 * inputs.size * outputs.shape[-1]
    if not isinstance(module, layers.Conv | layers.DepthwiseConv):
        return 0
    padding = module.padding if isinstance(module, layers.Conv) else "SAME"
    sides = inputs.shape[1:3]
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(sides, module.kernel_size, module.strides, padding)
    positions = 1
    for axis in (0, 1):
        starts = range(outputs.shape[1 + axis])
        places = (
            start * module.strides[axis] + tap - padding[axis][0]
            for start in starts
            for tap in range(module.kernel_size[axis])
        )
        positions *= sum(0 <= place < sides[axis] for place in places)
    deep = inputs.shape[-1] if isinstance(module, layers.Conv) else 1
    return 2 * inputs.shape[0] * positions * deep * outputs.shape[-1]


if __name__ == "__main__":
    _, arch, size, batch, *levels = sys.argv
    main(arch, int(size), int(batch), levels)
