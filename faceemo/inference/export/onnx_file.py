"""Export as ONNX, operator by operator, without a converter.

session = onnxruntime.InferenceSession("model.onnx")
(probabilities,) = session.run(["probabilities"], {"faces": faces})  # uint8 [N, S, S(, 3)]
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from faceemo.data.augment.augment import interpolation_weights
from faceemo.errors import missing_packages
from faceemo.inference.export import onnx_proto
from faceemo.inference.export.onnx_backbones import BACKBONES
from faceemo.inference.export.onnx_graph import Graph, Tensor
from faceemo.inference.export.quiet import quiet
from faceemo.train.checkpoint.trained_model import TrainedModel


def write(trained: TrainedModel, path: Path, *, logits: bool = False) -> None:
    """Writes a network into a file, in float32 whatever its own type is.

    The input `faces` is uint8 [N, S, S], or [N, S, S, 3] for a network that sees colour. The output
    is `probabilities`, float32 [N, C], as `Predictor.probabilities` computes them.

    Args:
        trained: The network.
        path: The file.
        logits: Whether the output is the logits, before temperature and softmax.

    Raises:
        LookupError: If no graph is known for its backbone.
    """
    if trained.arch not in BACKBONES:
        raise LookupError(
            f"no graph in ONNX for the network '{trained.arch}': add one to BACKBONES in "
            "faceemo/inference/export/onnx_backbones.py (docs/extend.md)"
        )
    source = ("faces", onnx_proto.UINT8, trained.image_format.shape)
    graph = Graph(source, trained.variables)
    features = BACKBONES[trained.arch](graph, _preprocess(graph, trained))
    result = _add_head(graph, features, trained)
    if not logits:
        scaled = graph.add(
            "Div", [result, np.array([trained.temperature], np.float32)], result.shape
        )
        result = graph.add("Softmax", [scaled], result.shape, "probabilities", axis=1)
    graph.write(path, result)


def _preprocess(graph: Graph, trained: TrainedModel) -> Tensor:
    """Adds what `plain_inputs` does to the faces: [N, 3, size, size]."""
    form, spec, size = trained.image_format, trained.preprocessing, trained.model.image_size
    channels = 3 if form.in_colour else 1
    shape = (channels, form.size, form.size)
    hidden = graph.add("Cast", [graph.source], graph.source.shape, to=onnx_proto.FLOAT)
    if form.in_colour:
        hidden = graph.add("Transpose", [hidden], shape, perm=(0, 3, 1, 2))
        if spec.reverse_channels:
            hidden = graph.add("Gather", [hidden, np.array([2, 1, 0])], shape, axis=1)
    else:
        hidden = graph.add("Unsqueeze", [hidden, np.array([1])], shape)
    weights = np.asarray(interpolation_weights(form.size, size))
    hidden = graph.add("MatMul", [hidden, weights.T], (channels, form.size, size))
    hidden = graph.add("MatMul", [weights, hidden], (channels, size, size))
    hidden = graph.add("Mul", [hidden, np.float32(spec.scale).reshape(1)], hidden.shape)
    mean = np.array(spec.mean, np.float32).reshape(3, 1, 1)
    return graph.add("Sub", [hidden, mean], (3, size, size))


def _add_head(graph: Graph, features: Tensor, trained: TrainedModel) -> Tensor:
    """Adds the layers of `models.head.Head`."""
    head = trained.model.head
    if head.pooling == "average":
        features = graph.average(features)
    before, hidden = features.shape, graph.flatten(features)
    for name, _ in head.dense:
        hidden = graph.relu(graph.dense(hidden, name, before))
        before = hidden.shape
    return graph.dense(hidden, "predictions", before)


@quiet()
def load(path: Path, threads: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Loads the file's function, which onnxruntime runs.

    Args:
        path: The file.
        threads: Number of threads; 0 takes one for each core.

    Raises:
        UserError: If onnxruntime is not installed.
    """
    onnxruntime = _import("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (argument,) = session.get_inputs()
    return lambda images: np.asarray(session.run(None, {argument.name: images})[0])


def _import(name: str) -> Any:
    """Imports a module.

    Raises:
        UserError: If it is not installed.
    """
    with missing_packages("onnx"):
        return importlib.import_module(name)
