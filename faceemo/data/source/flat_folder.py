"""Refusal of a folder of images without classes, such as that of one class."""

from collections.abc import Iterable
from pathlib import Path

from faceemo.data.source import zips
from faceemo.data.source.layout import format_examples, is_image, parse_split
from faceemo.errors import UserError


def refuse(folder: Path, files: Iterable[str]) -> None:
    """Refuses a folder whose images all lie directly in it.

    Args:
        folder: The folder.
        files: Paths of the files below it.

    Raises:
        UserError: If it is one; the message names the folder above if that has those of classes.
    """
    images = [name for name in files if is_image(name)]
    if not images or any("/" in name for name in images):
        return
    above = _parent(folder)
    classes = _list_image_folders(above)
    fix = "sort the images into folders by class, calm/ and angry/ for example, and name the folder"
    fix += " that holds these"
    if len(classes) > 1:
        whole = _parent(above) if parse_split(above.resolve().name) else above
        fix = f"name the folder above, {whole}, if {format_examples(classes)} are the classes"
    raise UserError(
        expected=f"a folder of images for each of two classes or more in {folder}",
        found=f"{len(images):,} images without a folder of their class",
        fix=fix,
    )


def _parent(folder: Path) -> Path:
    return (folder if folder.name else folder.resolve()).parent


def _list_image_folders(above: Path) -> list[str]:
    """Returns the names of the folders in `above` that hold images, sorted."""
    return sorted(path.name for path in above.iterdir() if path.is_dir() and _holds_image(path))


def _holds_image(folder: Path) -> bool:
    if zips.is_litter(folder.name):
        return False
    try:
        return any(is_image(path.name) for path in folder.iterdir())
    except OSError:  # of a neighbour that nobody named
        return False
