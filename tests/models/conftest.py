"""Keras's own results, computed once per run in a process of their own."""

import dataclasses
import os
from pathlib import Path

import filelock
import numpy as np
import pytest

from faceemo.assets import catalogue
from tests.support import keras_process
from tests.support.places import SUPPORT


@dataclasses.dataclass(frozen=True)
class Oracle:
    folder: Path  # of the weight files that Keras wrote
    results: dict[str, np.ndarray]

    def weights(self, model: str) -> dict[str, np.ndarray]:
        """Keras's weights of one of its models, by 'layer/weight', in its order."""
        return {
            name.removeprefix(f"{model}/"): array
            for name, array in self.results.items()
            if name.startswith(f"{model}/")
        }


@pytest.fixture(scope="session")
def oracle(tmp_path_factory) -> Oracle:
    """VGG16, preprocessing, file layouts."""
    return compute("keras_oracle.py", tmp_path_factory, catalogue.fetch("vgg16.hed"))


@pytest.fixture(scope="session")
def networks(tmp_path_factory) -> Oracle:
    """ResNet50V2, EfficientNetB0, BatchNorm, steps of Adam; a process of its own, as it is long."""
    return compute("keras_networks.py", tmp_path_factory)


def compute(program, tmp_path_factory, *arguments) -> Oracle:
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # where the workers meet
    folder = folder / program.removesuffix(".py")
    folder.mkdir(exist_ok=True)
    with filelock.FileLock(folder / "lock"):
        if not (folder / "results.npz").exists():
            keras_process.run(SUPPORT / "models" / program, folder, *arguments)
    with np.load(folder / "results.npz") as results:
        return Oracle(folder, dict(results))
