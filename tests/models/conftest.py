"""Keras's own results, computed once per test run in separate processes."""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np
import pytest

from faceemo.assets import catalogue
from tests.support import keras_process
from tests.support.places import SUPPORT


@dataclasses.dataclass(frozen=True)
class Oracle:
    """The results of one Keras program.

    Attributes:
        folder: Folder of the weight files that Keras wrote.
        results: Arrays by name.
    """

    folder: Path
    results: dict[str, np.ndarray]

    def weights(self, model: str) -> dict[str, np.ndarray]:
        """Returns the results named 'model/...', by the rest of their names, in their order."""
        return {
            name.removeprefix(f"{model}/"): array
            for name, array in self.results.items()
            if name.startswith(f"{model}/")
        }


@pytest.fixture(scope="session")
def oracle(tmp_path_factory) -> Oracle:
    """Keras's results for VGG16 and file layouts."""
    return compute(tmp_path_factory, "keras_oracle.py", catalogue.fetch("vgg16.hed"))


@pytest.fixture(scope="session")
def networks(tmp_path_factory) -> Callable[[str], Oracle]:
    """Returns a function from a network's name to Keras's results; VGG16's is a step alone."""
    return functools.cache(functools.partial(compute, tmp_path_factory, "keras_networks.py"))


@pytest.fixture(scope="session")
def pieces(tmp_path_factory) -> Oracle:
    """Keras's results for single pieces: BatchNorm, Adam, preprocessing, drop rates."""
    return compute(tmp_path_factory, "keras_pieces.py")


def compute(tmp_path_factory, program, *arguments) -> Oracle:
    """Runs a program of tests/support/models, or reads its results if another worker ran it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # shared by the workers
    folder = folder / "-".join([program.removesuffix(".py"), *(Path(x).name for x in arguments)])
    folder.mkdir(exist_ok=True)
    with filelock.FileLock(folder / "lock"):
        if not (folder / "results.npz").exists():
            keras_process.run(SUPPORT / "models" / program, folder, *arguments)
    with np.load(folder / "results.npz") as results:
        return Oracle(folder, dict(results))
