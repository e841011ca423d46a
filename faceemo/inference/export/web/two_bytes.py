"""Weights of ONNX files as integers of two bytes, which gzip compresses to about eleven bits.

Every channel has a step of its own: a share of its weights' root mean square. A weight is a whole
number of steps, kept as its high and its low byte in two arrays, because gzip compresses the high
bytes well and only those. onnxruntime puts the weights together once, when it loads the file.

The relative error of a layer's output is that of its weights, however many it has, but a bit more
for each of them costs the less the fewer they are. Of all files of one size, the one with the least
sum of squared errors has steps that shrink with the square root of the number of weights.
"""

import zlib
from typing import Any

import numpy as np

_MIN_PACKED = 512  # numbers in an array, below which it stays in float32
_LARGEST = 2**15 - 1
_GZIP = 31  # zlib's name for the format of gzip with the largest window


def pack(model: Any, steps: int) -> None:
    """Packs the weights of the convolutions and dense layers of an onnx.ModelProto, in place.

    Args:
        model: The model.
        steps: Steps per root mean square of a channel's weights in the largest layer; a layer with
            a quarter of its weights has twice as many. The error of a weight is up to half a step.
    """
    from onnx import TensorProto, helper, numpy_helper

    axes = _find_channel_axes(model)
    weights = {
        one.name: numpy_helper.to_array(one)
        for one in model.graph.initializer
        if one.name in axes and np.prod(one.dims) >= _MIN_PACKED
    }
    largest = max((values.size for values in weights.values()), default=1)
    nodes, arrays = [], []
    for one in model.graph.initializer:
        if one.name not in weights:
            arrays.append(one)
            continue
        values = weights[one.name]
        finer = (largest / values.size) ** 0.5
        numbers, step = _round_to_steps(values, axes[one.name], steps * finer)
        parts = {
            "high": (numbers >> 8).astype(np.int8),
            "low": (numbers & 255).astype(np.uint8),
            "step": step,
            "byte": np.float32(256),
        }
        names = {part: f"{one.name}/{part}" for part in parts}
        arrays += [numpy_helper.from_array(np.asarray(parts[part]), names[part]) for part in parts]
        for part in ("high", "low"):
            cast = helper.make_node(
                "Cast", [names[part]], [f"{names[part]}_float"], to=TensorProto.FLOAT
            )
            nodes.append(cast)
        for kind, first, second, result in (
            ("Mul", f"{names['high']}_float", names["byte"], f"{one.name}/shifted"),
            ("Add", f"{one.name}/shifted", f"{names['low']}_float", f"{one.name}/numbers"),
            ("Mul", f"{one.name}/numbers", names["step"], one.name),
        ):
            nodes.append(helper.make_node(kind, [first, second], [result]))
    nodes += model.graph.node
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(arrays)


def compress(content: bytes) -> bytes:
    """Compresses a file to gzip's format, in the way that makes it smaller.

    Packed weights hardly repeat themselves: looking for repetitions makes them 2% larger.
    """
    found = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_RLE):
        compressor = zlib.compressobj(9, zlib.DEFLATED, _GZIP, 9, strategy)
        found.append(compressor.compress(content) + compressor.flush())
    return min(found, key=len)


def _find_channel_axes(model: Any) -> dict[str, int]:
    """Returns the axis of the output channels of each array of weights, by the array's name."""
    axes = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            axes[node.input[1]] = 0
        elif node.op_type == "MatMul":
            axes[node.input[1]] = 1
        elif node.op_type == "Gemm":
            turned = {one.name: one.i for one in node.attribute}.get("transB", 0)
            axes[node.input[1]] = 0 if turned else 1
    return axes


def _round_to_steps(values: np.ndarray, axis: int, steps: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns whole numbers, int32, and the step of each channel, which multiplies them."""
    others = tuple(number for number in range(values.ndim) if number != axis)
    wide = values.astype(np.float64)
    size = np.sqrt((wide**2).mean(others, keepdims=True))
    step = np.maximum(size / steps, np.abs(wide).max(others, keepdims=True) / _LARGEST)
    step = np.where(step > 0, step, 1).astype(np.float32)
    return np.rint(wide / step).astype(np.int32), step
