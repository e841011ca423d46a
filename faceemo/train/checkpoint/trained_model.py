"""A trained network with everything that prediction needs, from a run or a file of its own.

The file is a .npz of `faceemo.models.weights.npz`. It holds every leaf of the network, frozen
parameters and batch statistics included, under 'params/...' and 'batch_stats/...', float32. Under
'about' it holds the recipe (configuration, classes, preprocessing, origin of the initial weights,
digests of the data), the temperature, and a digest of every leaf and of these facts. NumPy reads
it without faceemo.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from faceemo import models
from faceemo.assets import builtin
from faceemo.errors import UserError, suggest_path
from faceemo.models.preprocessing import Preprocessing
from faceemo.models.weights import npz
from faceemo.models.weights.mismatches import find_mismatches
from faceemo.train import run_log
from faceemo.train.checkpoint import run_folders
from faceemo.train.checkpoint.digest import digest_items, find_differences, make_seal, named_leaves
from faceemo.train.checkpoint.model_file import NAME, resolve_builtin, stored_file
from faceemo.train.checkpoint.network_facts import NetworkFacts, read_config
from faceemo.train.checkpoint.temperature import CALIBRATION, read_calibration, warn_uncalibrated

BUILTIN = builtin.NAME
_KIND = "a trained network of faceemo"
_VERSION = 1
_DIGEST = "digest"
_TREES = ("params", "batch_stats")


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedModel(NetworkFacts):
    """A trained network at the best epoch of its run.

    Attributes:
        model: The network.
        variables: {'params', 'batch_stats'} of nested dicts, float32 arrays; 'batch_stats' is {}
            for a network without BatchNorm.
        recipe: The run's record, see `faceemo.train.checkpoint.provenance.make_recipe`.
        temperature: Divisor of the logits for calibrated probabilities, above 0; 1 if none was
            fitted.
        best_epoch: The epoch, from 1, that the variables come from.
    """

    model: models.Model
    variables: dict[str, Any]
    recipe: dict[str, Any]
    temperature: float
    best_epoch: int

    @classmethod
    def from_recipe(
        cls, recipe: dict[str, Any], variables: dict[str, Any], temperature: float, best_epoch: int
    ) -> "TrainedModel":
        """Builds the network that a recipe describes; see the class for the arguments."""
        model = models.build(read_config(recipe), len(recipe["classes"]))
        return cls(model, variables, recipe, temperature, best_epoch)

    @classmethod
    def from_run(cls, workdir: Path, *, require_temperature: bool = False) -> "TrainedModel":
        """Restores the best weights of a run.

        Args:
            workdir: The run's folder.
            require_temperature: Whether to refuse a run without a temperature for these weights.
                Otherwise the temperature is 1, and a warning says so.

        Raises:
            UserError: If there is no run with a finished epoch, its checkpoints are damaged, or a
                required temperature is missing.
        """
        # Orbax takes seconds to import, which the reader of a stored file need not wait for.
        from faceemo.train.checkpoint.checkpoints import Checkpoints
        from faceemo.train.checkpoint.stored_recipe import load_recipe

        recipe = load_recipe(workdir)
        variables, history = Checkpoints(workdir, recipe).restore_best()
        calibration = read_calibration(workdir, len(history))
        if calibration is None and require_temperature:
            raise UserError(
                expected=f"the temperature of epoch {len(history)} in {workdir / CALIBRATION}",
                found="none",
                fix=f"run faceemo evaluate {workdir}, which fits it",
            )
        if calibration is None:
            warn_uncalibrated(workdir)
        leaves: dict[str, Any] = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), variables)
        temperature = calibration["temperature"] if calibration else 1.0
        return cls.from_recipe(recipe, leaves, temperature, len(history))

    @classmethod
    def load(cls, path: Path) -> "TrainedModel":
        """Reads a file that `save` wrote, and compares every digest.

        Args:
            path: The file, or the folder that holds it as model.npz.

        Raises:
            UserError: If there is no such file; if it is cut off, altered or of another kind; if a
                newer faceemo wrote it; if its leaves are not exactly those of the network that its
                configuration describes.
        """
        path = stored_file(path)
        if not path.is_file():
            raise UserError(
                expected=f"a trained network at {path}",
                found="no such file",
                fix="store one with scripts/train_final.py, or correct the path",
            )
        with npz.report_damage(
            path,
            expected="an undamaged file of a trained network, as scripts/train_final.py writes it",
            fix="copy it again, or store it again with scripts/train_final.py",
        ):
            about, arrays = npz.unpack(path)
            if about.get("kind") != _KIND:
                raise ValueError("it holds no trained network, but perhaps a backbone's weights")
            if about["version"] > _VERSION:
                raise ValueError(
                    f"a newer faceemo wrote it, in version {about['version']} of the format; "
                    f"this one reads {_VERSION}: update faceemo"
                )
            seal = about.pop(_DIGEST)
            trees = {name: {} for name in _TREES} | traverse_util.unflatten_dict(arrays, sep="/")
            found = digest_items(trees, {"about": about})
            if wrong := find_differences(seal, found, {*trees, "about"}):
                raise ValueError(f"not as it was stored: {', '.join(wrong)}")
            trained = cls.from_recipe(
                about["recipe"], trees, float(about["temperature"]), int(about["best_epoch"])
            )
        expected = _leaf_shapes(trained.model)
        if problems := find_mismatches(arrays, expected):
            version = trained.recipe.get("versions", {}).get("faceemo", "unknown")
            raise UserError(
                expected=f"the {len(expected)} arrays of {trained.arch} and nothing else in {path}",
                found="; ".join(problems),
                fix=f"load it with the version of faceemo that stored it: {version}",
            )
        return trained

    def save(self, path: Path) -> None:
        """Writes the network into a file, whole or not at all.

        Args:
            path: The file, which ends in '.npz'; an older one is replaced.

        Raises:
            UserError: If `path` has another suffix.
        """
        if path.suffix != npz.SUFFIX:
            raise UserError(
                expected=f"a file ending in {npz.SUFFIX} to write",
                found=str(path),
                fix=f"name it {path.with_suffix(npz.SUFFIX).name}",
            )
        trees = {name: self.variables[name] for name in _TREES}
        facts = {
            "kind": _KIND,
            "version": _VERSION,
            "recipe": self.recipe,
            "temperature": self.temperature,
            "best_epoch": self.best_epoch,
        }
        about = facts | {_DIGEST: make_seal(digest_items(trees, {"about": facts}))}
        npz.pack(path, about, named_leaves(trees))

    def load_trained(self) -> "TrainedModel":
        """Returns this network."""
        return self

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing that belongs to the weights."""
        return Preprocessing.from_dict(self.recipe["preprocessing"])


def read(path: Path) -> TrainedModel:
    """Reads a trained network from any of its places.

    Args:
        path: A run's folder, a file that `TrainedModel.save` wrote or the folder that holds it, or
            `BUILTIN`.

    Raises:
        UserError: If there is no trained network, or it is damaged.
    """
    path = resolve_builtin(path)
    if stored_file(path).is_file():
        return TrainedModel.load(path)
    if path.is_dir() and _is_run(path):
        return TrainedModel.from_run(path)
    run_folders.refuse_folder_of_runs(path)
    if path.is_dir() and (path / run_log.NAME).is_file():
        raise UserError(
            expected=f"a trained network at {path}",
            found="a run that has not finished an epoch",
            fix=f"give its train command again, or {run_folders.advise()}",
        )
    run = next((run for run in path.parents[:2] if path.is_dir() and _is_run(run)), None)
    raise UserError(
        expected=f"a run's folder or a stored network ({NAME}) at {path}",
        found=f"a folder inside the run {run}"
        if run
        else "a folder without either"
        if path.is_dir()
        else f"nothing{suggest_path(path, builtin.FOLDERS)}",
        fix=f"name {run}; '{BUILTIN}' is the network that comes with faceemo"
        if run
        else f"{run_folders.advise()}; '{BUILTIN}' is the network that comes with faceemo",
    )


def _is_run(folder: Path) -> bool:
    """Returns whether a folder holds checkpoints of a run."""
    from faceemo.train.checkpoint.stored_recipe import find_recipe

    return find_recipe(folder) is not None


def _leaf_shapes(model: models.Model) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every leaf of a network, by 'params/backbone/layer/weight'."""
    leaves: dict[str, Any] = traverse_util.flatten_dict(model.shapes(), sep="/")
    return {name: leaf.shape for name, leaf in leaves.items()}
