"""Recognises the folders of runs, and finds one to name as an example."""

from pathlib import Path

# Folders of a run that hold checkpoints with weights that trained.
SERIES = ("latest", "best")
_FOLDER = Path("checkpoints")  # in which runs are unless the user names another place


def is_run(path: Path) -> bool:
    """Returns whether a folder holds checkpoints of a run, intact or not: best/12 or latest/12."""
    return any(
        checkpoint.is_dir() and checkpoint.name.isdigit()
        for series in SERIES
        for checkpoint in path.glob(f"{series}/*")
    )


def advise() -> str:
    """Returns advice for whoever named a run that is not there: the newest run that is, if any."""
    folders = {path.parent for series in SERIES for path in _FOLDER.glob(f"**/{series}")}
    if runs := [folder for folder in folders if is_run(folder)]:
        newest = max(runs, key=lambda folder: (folder.stat().st_mtime, str(folder)))
        return f"name a run that exists, such as {newest}"
    return f"train one first (there is no run in {_FOLDER}/)"
