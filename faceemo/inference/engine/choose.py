"""The choice of an engine for a network: onnxruntime where it computes the same, otherwise JAX."""

import dataclasses
import functools
import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceemo.analysis.probabilities import calibrate
from faceemo.errors import EXTRAS, UserError
from faceemo.inference.engine import cache
from faceemo.inference.engine.names import AUTO, JAX, ONNX, resolve
from faceemo.inference.engine.onnx_engine import OnnxEngine
from faceemo.inference.engine.sessions import is_installed
from faceemo.train.checkpoint import model_file, run_folders
from faceemo.train.checkpoint.class_subset import find_places, keep_classes, restrict_recipe
from faceemo.train.checkpoint.network_facts import NetworkFacts
from faceemo.train.checkpoint.temperature import read_calibration, warn_uncalibrated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceemo.inference.engine.jax_engine import JaxEngine
    from faceemo.train.checkpoint.trained_model import TrainedModel

_FACES = 32  # drawn faces on which the engines are compared
_LOG = logging.getLogger("faceemo")


class OnnxUnavailable(UserError):
    """The reason why a network cannot be run by onnxruntime."""


@dataclasses.dataclass(frozen=True, eq=False)
class StoredNetwork(NetworkFacts):
    """A network whose arrays are read when they are asked for.

    Attributes:
        recipe: Its recipe, with the classes to which it is restricted.
        temperature: Its temperature.
        best_epoch: The epoch that the weights come from.
        path: Where it is stored.
        digest: The digest of the files there, see `cache.digest_network`.
    """

    recipe: dict[str, Any]
    temperature: float
    best_epoch: int
    path: Path
    digest: str

    def load_trained(self) -> "TrainedModel":
        """Reads the network with its arrays.

        Raises:
            UserError: If it has changed meanwhile.
        """
        trained = _read_trained(self.path)
        if cache.digest_network(self.path) != self.digest:
            raise UserError(
                expected=f"the network at {self.path} as it was when it was loaded",
                found="another one",
                fix="load it again",
            )
        return trained if trained.classes == self.classes else keep_classes(trained, self.classes)


def choose(
    path: Path, engine: str, classes: "Sequence[str] | None" = None
) -> "tuple[NetworkFacts, OnnxEngine | JaxEngine]":
    """Reads a network and makes the engine that runs it.

    Args:
        path: The network, as accepted by `faceemo.train.checkpoint.trained_model.read`.
        engine: One of `names.ENGINES`. 'auto' takes onnxruntime if it is installed, JAX has no
            accelerator, and the network's own ONNX file gives the probabilities of JAX on drawn
            faces; the log tells why it takes JAX.
        classes: The classes to which predictions are restricted; None keeps all.

    Returns:
        The network, with or without its arrays, and the engine.

    Raises:
        UserError: If there is no network, it is damaged, or it has no such class; if there is no
            such engine, or onnxruntime cannot run the network although `engine` demands it.
    """
    wanted = resolve(engine)
    read_trained = functools.cache(lambda: _read_trained(path))
    if wanted == AUTO and _has_accelerator():
        wanted = JAX
    if wanted != JAX:
        try:
            return _open_onnx(path, read_trained, classes)
        except OnnxUnavailable as error:
            if wanted == ONNX:
                raise
            # That it is not installed is nothing to worry about.
            level = logging.WARNING if is_installed() else logging.INFO
            _tell(level, f"{path} is predicted with JAX, not with onnxruntime: {error}")
    from faceemo.inference.engine.jax_engine import JaxEngine

    trained = read_trained()
    trained = trained if classes is None else keep_classes(trained, classes)
    chosen = JaxEngine(trained)
    _tell(logging.INFO, f"{path} is predicted with {chosen}")
    return trained, chosen


def _open_onnx(
    path: Path, read_trained: "Callable[[], TrainedModel]", classes: "Sequence[str] | None"
) -> tuple[NetworkFacts, OnnxEngine]:
    """Returns a network without its arrays and onnxruntime's engine for it.

    Raises:
        OnnxUnavailable: If onnxruntime cannot run it.
        UserError: If there is no network, it is damaged, or it has no such class.
    """
    if not is_installed():
        raise OnnxUnavailable(
            expected="onnxruntime, for --engine onnx",
            found="that it is not installed",
            fix=f"{EXTRAS['onnx'].install}, or pip install onnxruntime",
        )
    digest = cache.digest_network(path)
    if digest is None:
        read_trained()  # which says what is wrong
        raise AssertionError(f"{path} is read but has no digest")
    try:
        import onnxruntime

        folder = cache.name_entry(digest, onnxruntime.__version__)

        def make(file: Path) -> cache.Entry:
            trained = read_trained()
            if cache.digest_network(path) != digest:
                raise RuntimeError("the network changed while it was read; load it again")
            return _make_entry(path, file, trained)

        entry = cache.read_or_write(folder, make)
        if not entry.agrees:
            raise OnnxUnavailable(
                expected=f"probabilities of onnxruntime within {entry.tolerance:g} of JAX's",
                found=f"a difference of {entry.difference:.2g} on {_FACES} drawn faces",
                fix="give --engine jax",
            )
        index = None if classes is None else find_places(entry.recipe["classes"], classes)
        engine = OnnxEngine(folder / cache.MODEL, index)
    except UserError:
        raise
    except Exception as error:  # onnxruntime raises its own, and the disk may be full
        raise OnnxUnavailable(
            expected="an ONNX file of the network that onnxruntime runs",
            found=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
            fix="see whether the cache folder can be written to, or give --engine jax",
        ) from error
    is_run = not model_file.names_stored(path) and run_folders.is_run(path)
    if is_run and read_calibration(path, entry.best_epoch) is None:
        warn_uncalibrated(path)
    _tell(logging.INFO, f"{path} is predicted with {engine}")
    recipe = entry.recipe if index is None else restrict_recipe(entry.recipe, index)
    about = entry.temperature, entry.best_epoch
    return StoredNetwork(recipe, *about, path, digest), engine


def _make_entry(path: Path, file: Path, trained: "TrainedModel") -> cache.Entry:
    """Writes a network's file and compares it with JAX."""
    from faceemo.inference.engine.jax_engine import JaxEngine
    from faceemo.inference.export import onnx_file
    from faceemo.inference.export.drawn import draw_faces
    from faceemo.inference.export.parity import TOLERANCES, measure_difference

    _tell(logging.INFO, f"the ONNX file of {path} is made, once")
    onnx_file.write(trained, file, logits=True)
    faces = draw_faces(_FACES, trained.image_format)
    own, other = OnnxEngine(file), JaxEngine(trained)

    def run(engine: "OnnxEngine | JaxEngine", crops: np.ndarray) -> np.ndarray:
        return calibrate(engine.logits(crops), trained.temperature)

    difference = measure_difference(functools.partial(run, own), faces, run(other, faces))
    return cache.Entry(
        trained.recipe, trained.temperature, trained.best_epoch, difference, TOLERANCES["float32"]
    )


def _read_trained(path: Path) -> "TrainedModel":
    """Reads a network with its arrays, in a process that keeps compiled programs."""
    from faceemo.train.checkpoint import trained_model
    from faceemo.train.programs import compile_cache

    compile_cache.enable()
    return trained_model.read(path)


def _has_accelerator() -> bool:
    """Returns whether JAX may find a GPU or TPU, judged by what is installed, without JAX."""
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return False
    return any(importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu"))


@functools.cache
def _tell(level: int, text: str) -> None:
    """Logs a line, once in a process."""
    _LOG.log(level, text)
