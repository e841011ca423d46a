"""The models that a study ends with: their best weights stored alone, with their card."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from faceemo import staging
from faceemo.analysis import calibration, card
from faceemo.errors import UserError
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.checkpoints import Checkpoints, read_recipe
from faceemo.train.checkpoint.trained_model import Stored

MODELS = (("vgg16", 7), ("resnet50v2", 8), ("efficientnetb0", 9))
EPOCHS = 20
FOLDER = "models"  # in a sweep's, beside its runs
_FILES = {trained_model.NAME, card.NAME}


def store(workdir: Path, folder: Path) -> Path:
    """Stores the best weights of a finished run, without its optimiser and its former states.

    Args:
        workdir: of the run; it stays as it is.
        folder: for this model alone: model.npz (`faceemo.train.checkpoint.trained_model`) and
            card.md. It appears whole or not at all; an older one stays until then.

    Returns:
        the path of model.npz.

    Raises:
        UserError: if the run is not finished, its checkpoints are damaged, it has no temperature
            of these weights, or `folder` holds anything else.
    """
    if folder.exists() and (strange := {path.name for path in folder.iterdir()} - _FILES):
        raise UserError(
            expected=f"{folder} to be empty or to hold a stored model",
            found=", ".join(sorted(strange)),
            fix="name another folder",
        )
    model, text = _gather(workdir), (workdir / card.NAME)
    with staging.folder(folder) as partial:
        trained_model.write(partial / trained_model.NAME, model)
        shutil.copyfile(text, partial / card.NAME)
    return folder / trained_model.NAME


def _gather(workdir: Path) -> Stored:
    """What is to be stored of a run."""
    recipe = read_recipe(workdir)
    if recipe is None or not (workdir / card.NAME).is_file():
        raise UserError(
            expected=f"a finished run in {workdir}",
            found="no checkpoints" if recipe is None else f"no {card.NAME}, which it ends with",
            fix="train it to its end first",
        )
    variables, history = Checkpoints(workdir, recipe).restore_best()
    fitted = calibration.read(workdir, len(history))
    if fitted is None:
        raise UserError(
            expected=f"the temperature of epoch {len(history)} in {workdir / calibration.NAME}",
            found="none",
            fix="give the run's command with --mode=evaluate, which fits it",
        )
    leaves: dict[str, Any] = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), variables)
    return Stored(leaves, recipe, fitted["temperature"], len(history))


def parse(names: Iterable[str]) -> list[tuple[str, str]]:
    """['vgg16:7'] as [('vgg16', '7')]; the configuration checks what they name.

    Raises:
        UserError: if one is not of this form.
    """
    found = []
    for name in names:
        arch, colon, variant = name.partition(":")
        if not (arch and colon and variant):
            raise UserError(
                expected="models as vgg16:7 or efficientnetb0:best",
                found=f"'{name}'",
                fix="name a backbone and, after a colon, its variant",
            )
        found.append((arch, variant))
    return found
