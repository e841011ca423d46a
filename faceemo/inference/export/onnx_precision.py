"""ONNX files with numbers of fewer bits, made from one in float32.

float16 stores the weights in half precision. They are widened when the file is loaded, so that it
takes half the room and computes as before, also where a processor has no arithmetic for float16.

int8 stores weights as integers and computes convolutions and dense layers with them, by
onnxruntime's quantiser. The ranges of the activations are those of some faces (calibration).
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from faceemo.errors import missing_packages
from faceemo.inference.export.quiet import quiet

FLOAT32 = "float32"
# Operators that compute with integers; the others, such as softmax, stay in float32.
_QUANTISED = ("Clip", "Conv", "Gemm", "MaxPool", "Relu")
_BATCH_SIZE = 16  # faces at a time while activations are measured
_MIN_HALF = 64  # numbers in an array, below which half precision saves nothing


@quiet()
def store_as_float16(path: Path, faces: np.ndarray) -> None:
    """Stores the weights of a file in half precision.

    Args:
        path: The file, which is replaced.
        faces: Not needed here.
    """
    del faces
    onnx = _import("onnx")
    model = onnx.load(path)
    wide = [
        one
        for one in model.graph.initializer
        if one.data_type == onnx.TensorProto.FLOAT and np.prod(one.dims) >= _MIN_HALF
    ]
    casts = []
    for one in wide:
        half = onnx.numpy_helper.to_array(one).astype(np.float16)
        name = one.name
        one.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_float16"))
        casts.append(onnx.helper.make_node("Cast", [one.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


@quiet()
def quantise(path: Path, faces: np.ndarray) -> None:
    """Quantises a file to 8 bits, with ranges that do not depend on the processor.

    A processor without VNNI adds two products of 8 bits in 16 bits, where they may saturate. So
    weights have 7 bits. Those of depthwise convolutions keep 8: onnxruntime computes these in
    another way, and in MobileNet they need all bits (with 7, one prediction in 22 changes instead
    of one in 70; 1,500 validation images of FER2013). The last layer stays in float32, and so do
    the convolutions up to the first depthwise one, which have few weights, and channels of very
    different ranges: in `builtin` they change one prediction in 32, all others together one in 180
    (2,000 training images of FER+).

    Args:
        path: The file, which is replaced.
        faces: Faces that are typical of the network's input, uint8 [N, S, S] or [N, S, S, 3].
    """
    onnx, quantization = _import("onnx"), _import("onnxruntime.quantization")
    model = onnx.load(path)
    weights = {one.name: one for one in model.graph.initializer}
    convolutions = [
        node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in weights
    ]
    depthwise = [node for node in convolutions if weights[node.input[1]].dims[1] == 1]
    first = convolutions[: convolutions.index(depthwise[0]) + 1] if depthwise else []
    dense = [node.name for node in model.graph.node if node.op_type == "Gemm"]
    quantization.quantize_static(
        path,
        path,
        _Reader(faces),
        per_channel=True,
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        op_types_to_quantize=list(_QUANTISED),
        nodes_to_exclude=[*(node.name for node in first), *dense[-1:]],
        extra_options={
            "TensorQuantOverrides": {
                node.input[1]: [{"axis": 0, "reduce_range": False}] for node in depthwise
            }
        },
    )


CONVERTERS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "float16": store_as_float16,
    "int8": quantise,
}
CALIBRATED = ("int8",)  # those that need faces


class _Reader:
    """What onnxruntime calls a CalibrationDataReader: the faces in batches, once."""

    def __init__(self, faces: np.ndarray):
        starts = range(0, len(faces), _BATCH_SIZE)
        self._batches = iter([faces[start : start + _BATCH_SIZE] for start in starts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"faces": batch}


def _import(name: str) -> Any:
    """Imports a module.

    Raises:
        UserError: If it is not installed.
    """
    with missing_packages("onnx"):
        return importlib.import_module(name)
