"""Trained networks, from the folder of a run or from the file that was made of one."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.analysis import calibration
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.checkpoints import Checkpoints, read_recipe
from faceemo.train.checkpoint.trained_model import Stored

# Names the network that comes with faceemo, where a path names one's own.
BUILTIN = "builtin"


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A network at the best epoch of its run, with all that a predictor has to know.

    Attributes:
        model: the network.
        variables: {'params', 'batch_stats'}.
        preprocessing: that belongs to the weights.
        classes: in the order of the logits.
        config: of the run.
        temperature: of validation; 1 where none was fitted.
    """

    model: Model
    variables: dict[str, Any]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    config: ConfigDict
    temperature: float

    @classmethod
    def of(cls, kept: Stored) -> "Trained":
        """The network that was stored, built."""
        return cls(
            model=kept.build(),
            variables=kept.variables,
            preprocessing=kept.preprocessing,
            classes=kept.classes,
            config=kept.config,
            temperature=kept.temperature,
        )


def place(path: Path) -> Path:
    """Where a network lies: `BUILTIN` names the one that comes with faceemo, in any folder."""
    return Path(__file__).with_name(BUILTIN) if str(path) == BUILTIN else path


def read(path: Path) -> Stored:
    """Reads a run's folder, or the file (or folder) of `faceemo.train.checkpoint.trained_model`.

    Args:
        path: of one of them; `BUILTIN` is the network that comes with faceemo (a folder of that
            name needs its absolute path).

    Raises:
        UserError: if there is neither, or it is damaged.
    """
    path = place(path)
    if path.is_file() or (path / trained_model.NAME).is_file():
        return trained_model.load(path)
    recipe = read_recipe(path) if path.is_dir() else None
    if recipe is None:
        raise UserError(
            expected=f"a run's folder or a stored network ({trained_model.NAME}) at {path}",
            found="a folder without either" if path.is_dir() else "nothing",
            fix="name the folder that training printed, such as checkpoints/vgg16-7, or say "
            f"'{BUILTIN}' for the network that comes with faceemo",
        )
    variables, history = Checkpoints(path, recipe).restore_best()
    fitted = calibration.read(path, len(history))
    if fitted is None:
        print(
            f"warning: {path} has no temperature for these weights, so probabilities are not "
            "calibrated; --mode=evaluate --split=validation fits one",
            file=sys.stderr,
        )
    return Stored(variables, recipe, fitted["temperature"] if fitted else 1.0, len(history))
