"""The configuration files that come with faceemo, in a checkout and in an installed package."""

from pathlib import Path

NAME = "configs"


def folder() -> Path:
    """Returns the folder of the files: faceemo/configs if installed, configs in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / NAME
    return installed if installed.is_dir() else package.parent / NAME


def find(path: Path) -> Path:
    """Returns the file that comes with faceemo if `path` is configs/NAME.py and does not exist.

    Any other path is returned as it is.
    """
    if path.parent == Path(NAME) and not path.exists() and (folder() / path.name).is_file():
        return folder() / path.name
    return path


def files() -> list[Path]:
    """Returns the paths of all files in the form that `find` takes: configs/NAME.py."""
    return [Path(NAME) / path.name for path in sorted(folder().glob("[a-z]*.py"))]
