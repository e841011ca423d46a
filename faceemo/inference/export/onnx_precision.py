"""ONNX files with numbers of fewer bits, made from one in float32.

float16 stores the weights in half precision. They are widened when the file is loaded, so that it
takes half the room and computes as before, also where a processor has no arithmetic for float16.

int8 stores weights as integers and computes convolutions and dense layers with them, by
onnxruntime's quantiser. The ranges of the activations are those of some faces (calibration).
"""

import importlib
import tempfile
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
    model = _fold(path)
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
    of one in 70; 1,500 validation images of FER2013). The last layer stays in float32.

    Args:
        path: The file, which is replaced.
        faces: Faces that are typical of the network's input, uint8 [N, S, S] or [N, S, S, 3].
    """
    onnx, quantization = _import("onnx"), _import("onnxruntime.quantization")
    model = _fold(path)
    _name_activations(model, onnx)
    _join_biases(model, onnx)
    weights = {one.name: one for one in model.graph.initializer}
    depthwise = [
        node.input[1]
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.input[1] in weights
        and weights[node.input[1]].dims[1] == 1
    ]
    dense = [node.name for node in model.graph.node if node.op_type == "Gemm"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "float32.onnx")
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            path,
            _Reader(faces),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=list(_QUANTISED),
            nodes_to_exclude=dense[-1:],
            extra_options={
                "TensorQuantOverrides": {
                    name: [{"axis": 0, "reduce_range": False}] for name in depthwise
                }
            },
        )


CONVERTERS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "float16": store_as_float16,
    "int8": quantise,
}
CALIBRATED = ("int8",)  # those that need faces


def _fold(path: Path) -> Any:
    """Loads a file with its constants folded, those of BatchNorm into the convolutions."""
    onnx, onnxruntime = _import("onnx"), _import("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "folded.onnx"))
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    # onnxruntime names all operator sets that it knows, which other programs may refuse.
    used = {node.domain for node in model.graph.node}
    sets = [one for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(sets)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    return model


def _name_activations(model: Any, onnx: Any) -> None:
    """Writes min(max(x, 0), 6) as Clip, and max(x, 0) as Relu, which the quantiser knows."""
    constants = _read_constants(model, onnx)
    makers = {output: node for node in model.graph.node for output in node.output}
    users = _count_users(model)
    for node in model.graph.node:
        below = makers.get(node.input[0]) if node.op_type == "Min" else None
        if below is not None and below.op_type == "Max" and users[node.input[0]] == 1:
            inputs = [below.input[0], below.input[1], node.input[1]]
            if all(constants.get(name, np.ones(2)).size == 1 for name in inputs[1:]):
                node.CopyFrom(onnx.helper.make_node("Clip", inputs, node.output, node.name))
    remaining = _count_users(model)
    nodes = [
        node for node in model.graph.node if node.op_type != "Max" or remaining[node.output[0]]
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for node in model.graph.node:
        if node.op_type == "Max" and np.array_equal(constants.get(node.input[1], 1), 0):
            relu = onnx.helper.make_node("Relu", [node.input[0]], node.output, node.name)
            node.CopyFrom(relu)


def _join_biases(model: Any, onnx: Any) -> None:
    """Moves what is added after a Gemm into it: the quantiser needs a vector as its bias."""
    constants = _read_constants(model, onnx)
    adders = {node.input[0]: node for node in model.graph.node if node.op_type == "Add"}
    for node in model.graph.node:
        adder = adders.get(node.output[0]) if node.op_type == "Gemm" else None
        if adder is None or _count_users(model)[node.output[0]] > 1:
            continue
        own, added = (constants.get(name) for name in (node.input[2], adder.input[1]))
        if own is not None and added is not None and own.size == 1:
            name = f"{node.name}_bias"
            vector = np.ravel(own + added).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(vector, name))
            node.input[2], node.output[0] = name, adder.output[0]
            adder.output[0] = ""  # which nothing uses
    nodes = [node for node in model.graph.node if node.output[0]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _read_constants(model: Any, onnx: Any) -> dict[str, np.ndarray]:
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            arrays[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    return arrays


def _count_users(model: Any) -> dict[str, int]:
    """Counts the inputs that each tensor is, the graph's own outputs included."""
    names = [name for node in model.graph.node for name in node.input]
    names += [output.name for output in model.graph.output]
    counts = dict.fromkeys((name for node in model.graph.node for name in node.output), 0)
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


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
