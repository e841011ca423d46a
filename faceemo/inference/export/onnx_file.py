"""Export as ONNX, by jax2onnx.

session = onnxruntime.InferenceSession("model.onnx")
(probabilities,) = session.run(["probabilities"], {"faces": faces})  # uint8 [N, S, S(, 3)]
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from faceemo.errors import missing_packages
from faceemo.inference.export.function import make_probabilities
from faceemo.inference.export.quiet import quiet
from faceemo.models.layers.convolution import native_convolutions
from faceemo.train.checkpoint.trained_model import TrainedModel


@quiet()
def write(trained: TrainedModel, path: Path) -> None:
    """Writes the function of `make_probabilities`, for any number of images.

    Raises:
        UserError: If jax2onnx is not installed.
    """
    (count,) = jax.export.symbolic_shape("N")
    jax2onnx, onnx = _import("jax2onnx"), _import("onnx")
    with native_convolutions():
        images = jax.ShapeDtypeStruct((count, *trained.image_format.shape), jnp.uint8)
        model = jax2onnx.to_onnx(
            make_probabilities(trained),
            inputs=[images],
            model_name="faceemo",
            input_names=["faces"],
            output_names=["probabilities"],
        )
        onnx.save(model, path)


@quiet()
def load(path: Path, threads: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Loads the file's function, which onnxruntime runs.

    Args:
        path: The file.
        threads: Number of threads; 0 takes one for each core.
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
