"""Export as StableHLO: one file that JAX runs without faceemo, on any of its platforms.

    with open("model.stablehlo", "rb") as file:
        model = jax.export.deserialize(bytearray(file.read()))
    probabilities = model.call(faces)  # uint8 [N, S, S] or [N, S, S, 3] -> float32 [N, C]

JAX keeps such files readable for at least six months, and older programs by newer releases
(https://docs.jax.dev/en/latest/export/export.html, compatibility guarantees).
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from faceemo.inference.export.function import make_probabilities
from faceemo.models.layers.native import native_convolutions
from faceemo.train.checkpoint.trained_model import TrainedModel

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def write(trained: TrainedModel, path: Path) -> None:
    """Writes the function of `make_probabilities`, for any number of images."""
    (count,) = jax.export.symbolic_shape("count")
    images = jax.ShapeDtypeStruct((count, *trained.image_format.shape), jnp.uint8)
    with native_convolutions(), _without_source_files():
        exported = jax.export.export(jax.jit(make_probabilities(trained)), platforms=PLATFORMS)(
            images
        )
    path.write_bytes(exported.serialize())


@contextlib.contextmanager
def _without_source_files() -> Iterator[None]:
    """Keeps the paths of this machine's source files out of programs that are lowered."""
    before: int = jax.config.jax_traceback_in_locations_limit  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        jax.config.update("jax_traceback_in_locations_limit", before)


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Loads the file's function, which XLA runs."""
    model = jax.export.deserialize(bytearray(path.read_bytes()))

    def run(images: np.ndarray) -> np.ndarray:
        with _without_stored_programs():
            return np.asarray(model.call(images))

    return run


@contextlib.contextmanager
def _without_stored_programs() -> Iterator[None]:
    """Keeps programs that are compiled out of JAX's cache on disk.

    They contain the weights, and no other process runs them: to compress one of 53 MB took 1.8
    times as long as to compile it.
    """
    name = "jax_persistent_cache_min_compile_time_secs"
    before: float = jax.config.values[name]
    jax.config.update(name, float("inf"))
    try:
        yield
    finally:
        jax.config.update(name, before)
