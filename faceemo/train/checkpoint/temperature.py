"""The file in a run's folder with the temperature of its best weights.

`faceemo.analysis.calibration` fits the temperature and writes the file.
"""

import json
import sys
from pathlib import Path
from typing import Any

from faceemo.errors import UserError

CALIBRATION = "calibration.json"


def warn_uncalibrated(workdir: Path) -> None:
    """Warns on the terminal that a run has no temperature for its best weights."""
    print(
        f"warning: {workdir} has no temperature for its best weights, so probabilities are "
        f"not calibrated; faceemo evaluate {workdir} fits one",
        file=sys.stderr,
    )


def read_calibration(workdir: Path, best_epoch: int) -> dict[str, Any] | None:
    """Reads the calibration of a run's best weights.

    Args:
        workdir: The run's folder.
        best_epoch: The epoch, from 1, that the weights come from.

    Returns:
        The fields that `faceemo.analysis.calibration.fit` wrote, 'temperature' (above 0) among
        them; None if there is no file, or it belongs to the weights of another epoch.

    Raises:
        UserError: If the file is damaged.
    """
    path = workdir / CALIBRATION
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if record["best_epoch"] == best_epoch and record["temperature"] > 0 else None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            expected=f"a temperature and the epoch of its weights in {path}",
            found=f"{type(error).__name__}: {error}",
            fix="delete the file and evaluate the run again (faceemo evaluate), which fits "
            "a new temperature",
        ) from error
