"""Recognises the folders of runs, and finds one to name as an example."""

import itertools
from pathlib import Path

from faceemo.errors import UserError

# Folders of a run that hold checkpoints with weights that trained.
SERIES = ("latest", "best")
_NAMED = 5  # runs that a message names
_FOLDER = Path("checkpoints")  # in which runs are unless the user names another place


def is_run(path: Path) -> bool:
    """Returns whether a folder holds checkpoints of a run, intact or not: best/12 or latest/12."""
    return any(
        checkpoint.is_dir() and checkpoint.name.isdigit()
        for series in SERIES
        for checkpoint in path.glob(f"{series}/*")
    )


def find_free(workdir: Path) -> Path:
    """Returns the first of checkpoints/NAME-2, checkpoints/NAME-3 and so on that does not exist."""
    workdir = workdir if workdir.name else workdir.resolve()
    names = (workdir.with_name(f"{workdir.name}-{number}") for number in itertools.count(2))
    return next(path for path in names if not path.exists())


def find_inside(folder: Path) -> list[Path]:
    """Returns the runs in a folder and in the folders in it, the newest first."""
    if not folder.is_dir():
        return []
    found = {path for form in ("*", "*/*") for path in folder.glob(form) if is_run(path)}
    return sorted(found, key=lambda path: (-path.stat().st_mtime, str(path)))


def refuse_folder_of_runs(path: Path) -> None:
    """Refuses a folder that is no run, but holds some.

    Raises:
        UserError: If it is one; the message names the runs.
    """
    if is_run(path) or not (runs := find_inside(path)):
        return
    others = f" (and {len(runs) - _NAMED:,} more)" if len(runs) > _NAMED else ""
    raise UserError(
        expected="the folder of a run",
        found=f"'{path}', which is no run itself but holds {len(runs):,}",
        fix=f"name one of them: {', '.join(map(str, runs[:_NAMED]))}{others}",
    )


def advise() -> str:
    """Returns advice for whoever named a run that is not there: the newest run that is, if any."""
    folders = {path.parent for series in SERIES for path in _FOLDER.glob(f"**/{series}")}
    if runs := [folder for folder in folders if is_run(folder)]:
        newest = max(runs, key=lambda folder: (folder.stat().st_mtime, str(folder)))
        return f"name a run that exists, such as {newest}"
    return f"train one first (there is no run in {_FOLDER}/)"
