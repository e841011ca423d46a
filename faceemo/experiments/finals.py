"""The final models of a study: their best weights, each stored with its card."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from faceemo import staging
from faceemo.analysis import card
from faceemo.config import BACKBONES, STUDY, argument
from faceemo.errors import UserError
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.trained_model import TrainedModel

MODELS = tuple((arch, BACKBONES[arch].final_variant) for arch in STUDY)
EPOCHS = 20
FOLDER = "models"  # in the sweep's folder, beside its runs
_FILES = {trained_model.NAME, card.NAME}


def store(workdir: Path, folder: Path) -> Path:
    """Stores the best weights of a finished run, without its optimiser and its other states.

    Args:
        workdir: The run's folder, which stays as it is.
        folder: A folder for this model alone: model.npz (`faceemo.train.checkpoint.trained_model`)
            and card.md. It appears whole or not at all; an older one stays until then.

    Returns:
        The path of model.npz.

    Raises:
        UserError: If the run is not finished, its checkpoints are damaged, it has no temperature
            for these weights, or `folder` holds anything else.
    """
    if folder.exists() and (strange := {path.name for path in folder.iterdir()} - _FILES):
        raise UserError(
            expected=f"{folder} to be empty or to hold a stored model",
            found=", ".join(sorted(strange)),
            fix="name another folder",
        )
    trained = TrainedModel.from_run(workdir, require_temperature=True)
    text = workdir / card.NAME
    if not text.is_file():
        raise UserError(
            expected=f"a finished run in {workdir}",
            found=f"no {card.NAME}, which a run writes at its end",
            fix="finish the run: give its command again",
        )
    with staging.folder(folder) as partial:
        trained.save(partial / trained_model.NAME)
        shutil.copyfile(text, partial / card.NAME)
    return folder / trained_model.NAME


def add_epochs(overrides: str, epochs: int | None) -> str:
    """Adds the number of epochs to 'field=value' pairs, separated by commas.

    Args:
        overrides: The pairs.
        epochs: The number; None keeps that of the pairs, and is `EPOCHS` if they have none.

    Raises:
        UserError: If both give a number.
    """
    _, pairs = argument.parse(overrides)
    if "epochs" not in pairs:
        return ",".join(filter(None, (f"epochs={epochs or EPOCHS}", overrides)))
    if epochs is not None:
        raise UserError(
            expected="the number of epochs once",
            found=f"--epochs {epochs} and --overrides with epochs={pairs['epochs']}",
            fix="leave one of them out",
        )
    return overrides


def parse_models(names: Iterable[str]) -> list[tuple[str, str]]:
    """Splits names such as 'vgg16:7' into backbone and variant: [('vgg16', '7')].

    The configuration checks later that both exist.

    Raises:
        UserError: If a name is not of this form.
    """
    found = []
    for name in names:
        arch, colon, variant = name.partition(":")
        if not (arch and colon and variant):
            raise UserError(
                expected="models such as vgg16:7 or efficientnetb0:best",
                found=f"'{name}'",
                fix="name a backbone and, after a colon, its variant",
            )
        found.append((arch, variant))
    return found
