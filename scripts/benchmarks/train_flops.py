"""Program that train.py runs: operations and memory of a training step per unfreeze level.

    python train_flops.py ARCH SIZE BATCH LEVEL...

Prints JSON, {level: {quantity: number}}. 'counted' are the operations that XLA's cost analysis
finds in the step as written for GPUs and TPUs, before XLA's optimizations. (The version for CPUs
has loops, of which the analysis counts one iteration, and XLA's form of grouped convolutions
multiplies by zeros there.) 'least' is the minimum that the layers' shapes imply.
"""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import frameworks
import jax
import multi_device
from jax import lax

from faceemo import models
from faceemo.models.layers import convolution, layers, pooling
from faceemo.models.layers.batch_norm import BatchNorm

_WITH_PARAMETERS = (layers.Conv, layers.DepthwiseConv, layers.Dense, BatchNorm)


class Layer(NamedTuple):
    """A layer with parameters, in the order of the forward pass."""

    path: str  # 'backbone/block1_conv1'
    operations: int  # of one multiplication with its kernel; 0 for BatchNorm


def main(arch: str, size: int, batch: int, levels: Sequence[str]) -> None:
    """Counts operations and bytes, and prints them as JSON."""
    convolution.on_cpu = pooling.on_cpu = lambda: False
    results = {}
    for level in levels:
        model = frameworks.build_model(arch, size, level)
        step, (state, *rest), trained = multi_device.make_training_step(arch, level, size, batch)
        cost = step.lower(state, *rest).cost_analysis()
        traced = trace_layers(model, batch)
        results[level] = {
            "counted": cost["flops"],
            "least": count_least_operations(model, traced),
            "forward": sum(layer.operations for layer in traced),
            "trained": 4 * trained,
            "optimizer": sum(leaf.nbytes for leaf in jax.tree.leaves(state.opt_state)),
        }
    print(json.dumps(results))


def count_least_operations(model: models.Model, all_layers: Sequence[Layer]) -> int:
    """Counts the operations with kernels that a training step must do at least.

    `all_layers` are those of `trace_layers`, for the images of the step.

    They are the forward pass of all layers, the gradient of every trained kernel, and the gradient
    of the inputs of every layer above the lowest trained one. Each costs as much as the layer's
    forward pass. Elementwise operations are not counted.
    """
    patterns = frameworks.trained_patterns(model)
    trained = [
        any(re.fullmatch(pattern, f"{layer.path}/kernel") for pattern in patterns)
        for layer in all_layers
    ]
    lowest = trained.index(True)
    return (
        sum(layer.operations for layer in all_layers)
        + sum(layer.operations for layer, trains in zip(all_layers, trained, strict=True) if trains)
        + sum(layer.operations for layer in all_layers[lowest + 1 :])
    )


def trace_layers(model: models.Model, batch: int) -> list[Layer]:
    """Traces a forward pass and returns the layers with parameters in the order of their calls."""
    called: list[Layer] = []

    def record(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        outputs = call(*args, **kwargs)
        module = context.module
        if isinstance(module, _WITH_PARAMETERS) and context.method_name == "__call__":
            called.append(Layer("/".join(module.path), count_operations(module, args[0], outputs)))
        return outputs

    variables = model.shapes()
    size = model.image_size
    images = jax.ShapeDtypeStruct((batch, size, size, 3), "float32")
    with nn.intercept_methods(record):
        features = jax.eval_shape(
            lambda v, x: model.features(v["params"], v["batch_stats"], x)[0], variables, images
        )
        in_backbone = len(called)
        jax.eval_shape(lambda v, x: model.logits(v["params"], x), variables, features)
    parts = ["backbone"] * in_backbone + ["head"] * (len(called) - in_backbone)
    return [
        layer._replace(path=f"{part}/{layer.path}")
        for part, layer in zip(parts, called, strict=True)
    ]


def count_operations(module: Any, inputs: jax.Array, outputs: jax.Array) -> int:
    """Counts multiplications and additions with the kernel, without those on padding."""
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
        offsets = (
            start * module.strides[axis] + tap - padding[axis][0]
            for start in starts
            for tap in range(module.kernel_size[axis])
        )
        positions *= sum(0 <= offset < sides[axis] for offset in offsets)
    depth = inputs.shape[-1] if isinstance(module, layers.Conv) else 1
    return 2 * inputs.shape[0] * positions * depth * outputs.shape[-1]


if __name__ == "__main__":
    _, arch, size, batch, *levels = sys.argv
    main(arch, int(size), int(batch), levels)
