"""Where a stored network is, without the imports that reading it takes."""

from pathlib import Path

from faceemo.assets import builtin

NAME = "model.npz"


def resolve_builtin(path: Path) -> Path:
    """Returns the folder of a network that comes with faceemo if `path` is its name.

    Any other path is returned as it is. A folder of one's own with such a name needs its absolute
    path.
    """
    return builtin.FOLDERS.get(str(path), path)


def stored_file(path: Path) -> Path:
    """Returns the file of a stored network, for the path of that file or of its folder."""
    return path / NAME if path.is_dir() else path


def names_stored(path: Path) -> bool:
    """Returns whether a path names a stored network, of which a run's folder holds none."""
    file = stored_file(resolve_builtin(path))
    return file.is_file() and file.suffix == Path(NAME).suffix
