"""Export as ONNX, by jax2onnx.

session = onnxruntime.InferenceSession("model.onnx")
(probabilities,) = session.run(None, {session.get_inputs()[0].name: faces})  # uint8 [N, S, S]
"""

import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from faceemo.errors import UserError
from faceemo.inference.export.function import probabilities_of
from faceemo.models.layers.convolution import portable
from faceemo.train.checkpoint.trained_model import TrainedModel

# jax2onnx names an older Orbax among its requirements, which it does not use here.
INSTALL = "from the checkout, pip install -e '.[onnx]' && pip install --no-deps jax2onnx"


def write(trained: TrainedModel, path: Path) -> None:
    """Writes the function of `graph.probabilities_of` for any number of images.

    Raises:
        UserError: if jax2onnx is not installed.
    """
    side = trained.config.native_size
    (count,) = jax.export.symbolic_shape("N")
    # of plugins for libraries that are not here, and of shapes
    for logger in ("jax2onnx", "onnx_ir"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    jax2onnx, onnx = _installed("jax2onnx"), _installed("onnx")
    with portable():
        images = jax.ShapeDtypeStruct((count, side, side), jnp.uint8)
        onnx.save(jax2onnx.to_onnx(probabilities_of(trained), inputs=[images]), path)


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file's function, run by onnxruntime."""
    session = _installed("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda images: np.asarray(session.run(None, {given.name: images})[0])


def _installed(name: str) -> Any:
    """The module of that name.

    Raises:
        UserError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            expected="jax2onnx and onnxruntime", found=str(error), fix=INSTALL
        ) from error
