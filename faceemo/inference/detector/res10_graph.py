"""The face detector as an ONNX graph, made of OpenCV's res10 files without another library.

The graph takes images, uint8 [N, H, W, BGR], of any size and ends before Caffe's DetectionOutput
layer, whose work `detection_output` does, and detector.js on the page: for each of six maps it
returns `locations_i` [N, h, w, 4 k] and `confidences_i` [N, h, w, 2 k], raw, for k default boxes a
place.
"""

import itertools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from faceemo.data.measure.face_detector import load_network_files
from faceemo.data.measure.network import MEAN
from faceemo.inference.detector import caffe_text
from faceemo.inference.detector.caffe_text import Message, read_one
from faceemo.inference.detector.live_channels import find_live_channels
from faceemo.inference.export import onnx_proto

INPUT = "image"
_DATA = "data"  # the first BatchNorm takes it
_BATCH_NORM_EPSILON = 1e-5  # Caffe's default


def make_graph() -> tuple[bytes, dict[str, Any]]:
    """Makes the detector's graph.

    Returns:
        The content of an ONNX file, and what else is needed to find boxes in its outputs, ready for
        JSON.

    Raises:
        UserError: If the detector's files can be neither found nor downloaded.
        ValueError: If they have a layer that is not known here.
    """
    prototxt, weights = load_network_files()
    network = cv2.dnn.readNetFromCaffe(prototxt, weights)
    layers = caffe_text.parse(prototxt.tobytes().decode())["layer"]
    by_name = {read_one(layer, "name"): layer for layer in layers}
    graph = _Graph(network)
    graph.live = find_live_channels(layers, graph.read)
    graph.add("Cast", [INPUT], "float", to=onnx_proto.FLOAT)
    graph.tops[_DATA] = graph.add("Transpose", ["float"], "first_data", perm=[0, 3, 1, 2])
    for layer in layers:
        if make := _LAYERS.get(read_one(layer, "type")):
            graph.tops[read_one(layer, "top")] = make(graph, layer)
        elif read_one(layer, "type") not in _AFTER:
            raise ValueError(f"res10 has a layer of an unknown type: {read_one(layer, 'type')}")
    # what is flattened and joined, in order
    flattened = {
        kind: [read_one(by_name[name], "bottom") for name in by_name[f"mbox_{kind}"]["bottom"]]
        for kind in ("loc", "conf")
    }
    outputs = {
        f"{name}_{number}": graph.tops[top]
        for name, kind in (("locations", "loc"), ("confidences", "conf"))
        for number, top in enumerate(flattened[kind])
    }
    priors = [_describe_prior(by_name[name]) for name in by_name["mbox_priorbox"]["bottom"]]
    return graph.finish(outputs), {"maps": priors} | _describe_output(by_name["detection_out"])


class _Graph:
    """An ONNX graph that grows.

    Attributes:
        tops: The tensor that now has the name of a Caffe blob; layers often replace theirs.
        live: The channels that Caffe blobs have here, if some are left out.
    """

    def __init__(self, network: cv2.dnn.Net):
        self._network = network
        self._nodes: list[tuple[str, list[str], str, dict[str, onnx_proto.Attribute]]] = []
        self._arrays: dict[str, np.ndarray] = {}
        self._numbers = itertools.count()
        self.tops: dict[str, str] = {}
        self.live: dict[str, np.ndarray] = {}

    def add(
        self, kind: str, inputs: list[str], output: str, **attributes: onnx_proto.Attribute
    ) -> str:
        """Adds a node and returns its output."""
        self._nodes.append((kind, inputs, output, attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        """Adds a constant and returns its name."""
        name = f"constant_{next(self._numbers)}"
        self._arrays[name] = values
        return name

    def read(self, layer: Message, number: int) -> np.ndarray:
        """Reads one of the arrays of a layer."""
        return self._network.getParam(read_one(layer, "name"), number)

    def read_vector(self, layer: Message, number: int) -> np.ndarray:
        """Reads one of the arrays of a layer that has a value for each channel that it makes."""
        values = self.read(layer, number).ravel()
        live = self.live.get(read_one(layer, "top"))
        return values if live is None else values[live]

    def read_kernel(self, layer: Message) -> np.ndarray:
        """Reads the weights of a convolution, [made channels, taken channels, height, width]."""
        kernel = self.read(layer, 0)
        made, taken = (self.live.get(read_one(layer, name)) for name in ("top", "bottom"))
        kernel = kernel if made is None else kernel[made]
        return kernel if taken is None else kernel[:, taken]

    def bottom(self, layer: Message) -> str:
        """Returns the tensor that a layer takes."""
        return self.tops[read_one(layer, "bottom")]

    def scale(self, normalized: str, factor: str, offset: str) -> str:
        """Sets the factor and the offset of the BatchNorm that makes a tensor; returns that."""
        (inputs,) = [
            inputs
            for kind, inputs, output, _ in self._nodes
            if output == normalized and kind == "BatchNormalization"
        ]
        for name in inputs[1:3]:
            del self._arrays[name]
        inputs[1:3] = factor, offset
        return normalized

    def finish(self, outputs: dict[str, str]) -> bytes:
        """Makes an ONNX file with these outputs, which are tensors by their new names."""
        nodes = [
            onnx_proto.make_node(kind, f"node {output}", inputs, output, **attributes)
            for kind, inputs, output, attributes in self._nodes
        ]
        nodes += [
            onnx_proto.make_node("Identity", f"node {name}", [tensor], name)
            for name, tensor in outputs.items()
        ]
        model = onnx_proto.make_model(
            nodes,
            [onnx_proto.make_tensor(name, values) for name, values in self._arrays.items()],
            onnx_proto.make_value(INPUT, onnx_proto.UINT8, ("N", "H", "W", 3)),
            [
                onnx_proto.make_value(name, onnx_proto.FLOAT, ("N", f"H {name}", f"W {name}", "K"))
                for name in outputs
            ],
        )
        return b"".join(model)


def _add_convolution(graph: _Graph, layer: Message) -> str:
    given = read_one(layer, "convolution_param")
    side, pad = read_one(given, "kernel_size"), read_one(given, "pad", 0)
    inputs = [graph.bottom(layer), graph.constant(graph.read_kernel(layer))]
    if read_one(given, "bias_term", True):
        inputs.append(graph.constant(graph.read_vector(layer, 1)))
    return graph.add(
        "Conv",
        inputs,
        read_one(layer, "name"),
        kernel_shape=[side, side],
        strides=[read_one(given, "stride", 1)] * 2,
        pads=[pad] * 4,
        dilations=[read_one(given, "dilation", 1)] * 2,
    )


def _add_batch_norm(graph: _Graph, layer: Message) -> str:
    """Adds a BatchNorm; that of the images subtracts their mean colour as well."""
    mean, variance = (graph.read_vector(layer, number) for number in range(2))
    factor = graph.read(layer, 2).ravel()
    scale = 1 / factor[0] if factor[0] else 0.0
    mean = mean * scale + (MEAN if read_one(layer, "bottom") == _DATA else 0.0)
    constants = (np.ones_like(mean), np.zeros_like(mean), mean, variance * scale)
    return graph.add(
        "BatchNormalization",
        [graph.bottom(layer), *(graph.constant(one.astype(np.float32)) for one in constants)],
        read_one(layer, "name"),
        epsilon=_BATCH_NORM_EPSILON,
    )


def _add_scale(graph: _Graph, layer: Message) -> str:
    """Gives the BatchNorm before it, which has neither in Caffe, its factor and offset."""
    factor, offset = (graph.constant(graph.read_vector(layer, number)) for number in range(2))
    return graph.scale(graph.bottom(layer), factor, offset)


def _add_relu(graph: _Graph, layer: Message) -> str:
    return graph.add("Relu", [graph.bottom(layer)], read_one(layer, "name"))


def _add_pooling(graph: _Graph, layer: Message) -> str:
    given = read_one(layer, "pooling_param")
    return graph.add(
        "MaxPool",
        [graph.bottom(layer)],
        read_one(layer, "name"),
        kernel_shape=[read_one(given, "kernel_size")] * 2,
        strides=[read_one(given, "stride")] * 2,
        ceil_mode=1,  # as Caffe rounds
    )


def _add_sum(graph: _Graph, layer: Message) -> str:
    return graph.add("Add", [graph.tops[one] for one in layer["bottom"]], read_one(layer, "name"))


def _add_normalization(graph: _Graph, layer: Message) -> str:
    """Divides by the length over the channels and scales each channel."""
    name = read_one(layer, "name")
    graph.add("LpNormalization", [graph.bottom(layer)], f"{name}_unit", axis=1, p=2)
    factor = graph.constant(graph.read_vector(layer, 0).reshape(-1, 1, 1))
    return graph.add("Mul", [f"{name}_unit", factor], name)


def _add_permutation(graph: _Graph, layer: Message) -> str:
    order = read_one(layer, "permute_param")["order"]
    return graph.add("Transpose", [graph.bottom(layer)], read_one(layer, "name"), perm=order)


_LAYERS: dict[str, Callable[[_Graph, Message], str]] = {
    "BatchNorm": _add_batch_norm,
    "Convolution": _add_convolution,
    "Eltwise": _add_sum,
    "Normalize": _add_normalization,
    "Permute": _add_permutation,
    "Pooling": _add_pooling,
    "ReLU": _add_relu,
    "Scale": _add_scale,
}
# Those that come after the graph's outputs.
_AFTER = ("Concat", "DetectionOutput", "Flatten", "PriorBox", "Reshape", "Softmax")


def _describe_prior(layer: Message) -> dict[str, Any]:
    """Describes the default boxes of one map: widths and heights in order, and their distances."""
    given = read_one(layer, "prior_box_param")
    smallest, largest = read_one(given, "min_size"), read_one(given, "max_size")
    sizes = [[smallest, smallest], [(smallest * largest) ** 0.5] * 2]
    for ratio in given["aspect_ratio"]:
        root = ratio**0.5
        sizes += [[smallest * root, smallest / root], [smallest / root, smallest * root]]
    return {
        "sizes": sizes,
        "step": read_one(given, "step"),
        "offset": read_one(given, "offset"),
        "variance": given["variance"],
    }


def _describe_output(layer: Message) -> dict[str, Any]:
    given = read_one(layer, "detection_output_param")
    overlaps = read_one(given, "nms_param")
    return {
        "at_least": read_one(given, "confidence_threshold"),
        "nms_iou": read_one(overlaps, "nms_threshold"),
        "before_nms": read_one(overlaps, "top_k"),
        "after_nms": read_one(given, "keep_top_k"),
    }
