"""A trained network in one file: its weights alone, and all that a predictor has to know.

The file is a .npz of `faceemo.models.weights.npz`: every leaf of the network, frozen ones and
BatchNorm's statistics included, under 'params/...' and 'batch_stats/...', float32; under 'about'
the recipe (configuration, classes, preprocessing, origin of the weights, digests of the data), the
temperature, and a digest of every leaf and of all that. NumPy opens it without faceemo.
"""

import dataclasses
from pathlib import Path
from typing import Any

from flax import traverse_util
from ml_collections import ConfigDict

from faceemo import models
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models.preprocessing import Preprocessing
from faceemo.models.weights import keras_h5, npz
from faceemo.train.digest import differences, digests, named_leaves, sealed

NAME = "model.npz"
_KIND = "a trained network of faceemo"
_VERSION = 1
_DIGEST = "digest"
_TREES = ("params", "batch_stats")


@dataclasses.dataclass(frozen=True)
class Stored:
    """A trained network, without its run.

    Attributes:
        variables: {'params', 'batch_stats'} of nested dicts, float32 NumPy arrays; 'batch_stats' is
            {} for a network without BatchNorm. As `Model.apply` and `make_eval_step` take them.
        recipe: what `faceemo.train.checkpoint.provenance.make_recipe` recorded of the run.
        temperature: by which logits are divided for calibrated probabilities; above 0.
        best_epoch: from 1; whose weights these are.
    """

    variables: dict[str, Any]
    recipe: dict[str, Any]
    temperature: float
    best_epoch: int

    @property
    def config(self) -> ConfigDict:
        """Of the run; a field that is younger than it has its default."""
        stored = self.recipe["config"]
        return ConfigDict(make_config(stored["arch"]).to_dict() | stored)

    @property
    def arch(self) -> str:
        """Of `config.ARCHS`."""
        return self.recipe["config"]["arch"]

    @property
    def image_size(self) -> int:
        """Side of the square that the network is shown, pixels."""
        return self.recipe["config"]["image_size"]

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the logits."""
        return tuple(self.recipe["classes"])

    @property
    def preprocessing(self) -> Preprocessing:
        """What the weights expect of their input."""
        return Preprocessing.from_dict(self.recipe["preprocessing"])

    def build(self) -> models.Model:
        """The network that `variables` belong to."""
        return models.build(self.config, len(self.classes))


def write(path: Path, stored: Stored) -> None:
    """Writes the file, whole or not at all.

    Args:
        path: ends in '.npz'; what was there is replaced.
        stored: its leaves are written as they are.

    Raises:
        UserError: if `path` has another ending.
    """
    if path.suffix != npz.SUFFIX:
        raise UserError(
            expected=f"a file ending in {npz.SUFFIX} to write",
            found=str(path),
            fix=f"name it {path.with_suffix(npz.SUFFIX).name}",
        )
    trees = {name: stored.variables[name] for name in _TREES}
    facts = {
        "kind": _KIND,
        "version": _VERSION,
        "recipe": stored.recipe,
        "temperature": stored.temperature,
        "best_epoch": stored.best_epoch,
    }
    about = facts | {_DIGEST: sealed(digests(trees, {"about": facts}))}
    npz.pack(path, about, named_leaves(trees))


def load(path: Path) -> Stored:
    """Reads what `write` wrote, after comparing every digest.

    Args:
        path: the file, or the folder that holds it as model.npz.

    Raises:
        UserError: if there is none; if it is cut off, altered in any of its numbers or words, or of
            another kind; if a newer faceemo wrote it; if its leaves are not exactly those of the
            network that its configuration describes.
    """
    path = path / NAME if path.is_dir() else path
    if not path.is_file():
        raise UserError(
            expected=f"a trained network at {path}",
            found="no such file",
            fix="store one with scripts/train_final.py, or name the file",
        )
    with npz.refused(
        path,
        expected="a whole file of a trained network, of scripts/train_final.py",
        fix="copy it again, or store it again with scripts/train_final.py",
    ):
        about, arrays = npz.unpack(path)
        if about.get("kind") != _KIND:
            raise ValueError("it is another kind of file: a backbone's weights, or not faceemo's")
        if about["version"] > _VERSION:
            raise ValueError(f"a newer faceemo wrote it, in form {about['version']}: update this")
        seal = about.pop(_DIGEST)
        trees = {name: {} for name in _TREES} | traverse_util.unflatten_dict(arrays, sep="/")
        found = digests(trees, {"about": about})
        if wrong := differences(seal, found, {*trees, "about"}):
            raise ValueError(f"not as it was stored: {', '.join(wrong)}")
        stored = Stored(
            trees, about["recipe"], float(about["temperature"]), int(about["best_epoch"])
        )
    expected = _shapes(stored.build())
    if problems := keras_h5.misfits(arrays, expected):
        raise UserError(
            expected=f"the {len(expected)} arrays of {stored.arch} and nothing else in {path}",
            found="; ".join(problems),
            fix="load it with the version of faceemo that stored it: "
            f"{stored.recipe['versions'].get('faceemo', 'unknown')}",
        )
    return stored


def _shapes(model: models.Model) -> dict[str, tuple[int, ...]]:
    """Of every leaf of a network, by 'params/backbone/layer/weight'."""
    variables = model.shapes()
    leaves: dict[str, Any] = traverse_util.flatten_dict(variables, sep="/")
    return {name: leaf.shape for name, leaf in leaves.items()}
