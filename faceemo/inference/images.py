"""Whatever somebody calls images, one after the other, decoded."""

import dataclasses
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceemo.data.measure.decode import Pixels, decode
from faceemo.errors import UserError

_TAKES = (
    "images: paths of files or folders, PIL images, uint8 arrays [H, W] (grey), [H, W, 3] (red, "
    "green, blue), [N, H, W] or [N, H, W, 3], or lists of these"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """One image, decoded, or the problem with it.

    Attributes:
        index: among all that were given, from 0.
        name: its path, or 'image 3'.
        pixels: None if it cannot be decoded.
        problem: then the reason.
    """

    index: int
    name: str
    pixels: Pixels | None
    problem: str = ""


def pictures_of(images: Any) -> Iterator[Picture]:
    """Decodes one image after the other; a file is read when its turn comes.

    Args:
        images: see the message below; of folders all files that have the name of an image, in the
            order of their paths, those in folders within included.

    Raises:
        UserError: if something is no image, or a path does not exist.
    """
    for index, (name, found) in enumerate(_named(images)):
        if isinstance(found, Path):
            yield picture_at(index, found)
            continue
        name = name or f"image {index}"
        try:
            yield Picture(index, name, Pixels.from_image(found))
        except (ValueError, OSError) as error:
            yield Picture(index, name, None, f"{type(error).__name__}: {error}")


def picture_at(index: int, path: Path) -> Picture:
    """A file, read and decoded; whatever keeps it from being so is the picture's problem."""
    try:
        content = path.read_bytes()
    except OSError as error:  # it is gone, forbidden, or on a disk that fails
        return Picture(index, str(path), None, f"{type(error).__name__}: {error.strerror}")
    found = decode(content)
    return Picture(index, str(path), found.pixels, found.problem)


def _named(images: Any) -> Iterator[tuple[str, Path | Image.Image]]:
    """Names and what they stand for; an image in memory has no name yet, but that of its file."""
    if isinstance(images, str | Path):
        for path in files_below(Path(images)):
            yield str(path), path
    elif isinstance(images, Image.Image):
        yield str(getattr(images, "filename", "")), images
    elif isinstance(images, np.ndarray):
        for one in _each(images):
            yield "", Image.fromarray(one)
    elif isinstance(images, Iterable) and not isinstance(images, bytes | dict | set):
        for one in images:
            yield from _named(one)
    else:
        raise UserError(
            expected=_TAKES,
            found=f"{type(images).__name__}",
            fix="convert it, with numpy.asarray or PIL.Image.open",
        )


def files_below(path: Path, more: Collection[str] = ()) -> list[Path]:
    """The path itself, or the images below it; and folders below it that cannot be looked into.

    Args:
        path: of a file or a folder.
        more: endings of files that are wanted too, such as '.mp4'.

    Raises:
        UserError: if there is neither, or the folder holds none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(
            expected=f"an image or a folder at {path}", found="nothing", fix="correct the path"
        )
    suffixes = {*Image.registered_extensions(), *more}
    refused: list[Path] = []  # folders: whoever reads one of them is told why it cannot be
    walk = os.walk(path, onerror=lambda error: refused.append(Path(error.filename)))
    files = (Path(folder, name) for folder, _, names in walk for name in names)
    wanted = [
        file
        for file in files
        if file.suffix.lower() in suffixes and file.is_file() and not file.name.startswith(".")
    ]
    if not wanted and not refused:
        raise UserError(
            expected=f"an image in {path}, or below it",
            found="none by its ending",
            fix="correct the path, or name the files themselves",
        )
    return sorted([*wanted, *refused])


def _each(array: np.ndarray) -> Iterator[np.ndarray]:
    """The images of an array: a last axis of 3 is colours."""
    axes = array.ndim - (array.shape[-1:] == (3,))
    # transparency or a single channel, not strips of a few pixels
    channels = array.ndim == 3 and array.shape[-1] in (1, 2, 4)
    if array.dtype != np.uint8 or axes not in (2, 3) or channels or 0 in array.shape[-axes:]:
        raise UserError(
            expected=_TAKES,
            found=f"an array of {array.dtype} {list(array.shape)}",
            fix="scale pixels to 0..255, round them and use .astype('uint8'); put the colours last",
        )
    yield from array if axes == 3 else [array]
