"""The network as an ONNX graph with probabilities and Grad-CAM, for the page.

Grad-CAM weights each channel of the last feature map by the mean gradient of the logit. After that
map come pooling and dense layers alone, whose gradient is written into the graph as operators.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from faceemo.errors import missing_packages
from faceemo.inference.export import onnx_file
from faceemo.train.checkpoint.trained_model import TrainedModel

HEAT = "heat"
_VGG16_REDUCTION = 16  # sides of its input per sides of its last map


def make_graph(trained: TrainedModel) -> Any:
    """Makes the graph of a network, for any number of faces.

    It takes `faces` as every export does and returns `probabilities`, float32 [N, C], and `heat`,
    float32 [N, h, w], at least 0: Grad-CAM for the most probable class, at the resolution of the
    last convolution, up to a factor.

    Args:
        trained: The network, in float32.

    Returns:
        An onnx.ModelProto.

    Raises:
        UserError: If the package onnx is not installed.
    """
    with missing_packages("onnx"):
        import onnx
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        onnx_file.write(trained, path)
        model = onnx.load(path)
    _add_heat(model, onnx, trained.model.image_size // _VGG16_REDUCTION)
    onnx.checker.check_model(model)
    return model


def _add_heat(model: Any, onnx: Any, side: int) -> None:
    """Adds the output `heat` to a graph whose output is probabilities.

    Args:
        model: The graph, an onnx.ModelProto.
        onnx: The package.
        side: Side of VGG16's last map.
    """
    graph = model.graph
    makers = {node.output[0]: node for node in graph.node}
    count = 0

    def add(kind: str, inputs: list[str | np.ndarray], **attributes: Any) -> str:
        nonlocal count
        count += 1
        names = []
        for place, one in enumerate(inputs):
            name = one if isinstance(one, str) else f"{HEAT}_{count}/{place}"
            if not isinstance(one, str):
                graph.initializer.append(onnx.numpy_helper.from_array(one, name))
            names.append(name)
        output = f"{HEAT}_{count}"
        graph.node.append(onnx.helper.make_node(kind, names, [output], output, **attributes))
        return output

    *before, last = (node for node in graph.node if node.op_type == "Gemm")
    first = (*before, last)[0]
    pooled = makers[makers[first.input[0]].input[0]]  # before Flatten
    chosen = add("ArgMax", [last.output[0]], axis=1, keepdims=0)
    gradient = add("Gather", [add("Transpose", [last.input[1]], perm=[1, 0]), chosen], axis=0)
    for node in reversed(before):
        (relu,) = (one for one in graph.node if node.output[0] in one.input)
        positive = add("Greater", [relu.output[0], np.zeros((), np.float32)])
        passed = add("Mul", [gradient, add("Cast", [positive], to=onnx.TensorProto.FLOAT)])
        gradient = add("MatMul", [passed, add("Transpose", [node.input[1]], perm=[1, 0])])
    if pooled.op_type == "MaxPool":  # it hands the gradients on, each to one place
        channels = _count_channels(graph)
        places = add("Reshape", [gradient, np.array([0, channels, -1])])
        gradient = add("ReduceSum", [places, np.array([2])], keepdims=0)
    weights = add("Unsqueeze", [gradient, np.array([2, 3])])
    evidence = add("Mul", [pooled.input[0], weights])
    total = add("ReduceSum", [evidence, np.array([1])], keepdims=0)
    heat = add("Relu", [total])
    if pooled.op_type == "MaxPool" and side % 2:  # which leaves out the last row and column
        seen = np.ones((side, side), np.float32)
        seen[-1], seen[:, -1] = 0, 0
        heat = add("Mul", [heat, seen])
    graph.node.append(onnx.helper.make_node("Identity", [heat], [HEAT], HEAT))
    sizes = ["N", "height", "width"]
    graph.output.append(onnx.helper.make_tensor_value_info(HEAT, onnx.TensorProto.FLOAT, sizes))


def _count_channels(graph: Any) -> int:
    """Returns the number of channels that the last convolution makes."""
    (*_, last) = (node for node in graph.node if node.op_type == "Conv")
    (kernel,) = (one for one in graph.initializer if one.name == last.input[1])
    return kernel.dims[0]
