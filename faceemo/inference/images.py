"""Loading of images in any form that a user may have them in, one after the other."""

import dataclasses
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceemo.data.measure.decode import Pixels, decode
from faceemo.errors import UserError

_ACCEPTED = (
    "images: paths of files or folders, PIL images, uint8 arrays [H, W] (grey), [H, W, 3] (red, "
    "green, blue), [N, H, W] or [N, H, W, 3], or lists of these"
)


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image, decoded, or the reason why it cannot be.

    Attributes:
        index: The image's place among all that were given, from 0.
        name: The path of its file, or 'image 3'.
        pixels: The decoded pixels; None if the image cannot be decoded.
        problem: The reason then; empty otherwise.
    """

    index: int
    name: str
    pixels: Pixels | None
    problem: str = ""


def load_images(images: Any) -> Iterator[LoadedImage]:
    """Decodes one image after the other; reads each file when its turn comes.

    Args:
        images: One or many, in the forms that `_ACCEPTED` lists. A folder stands for all files in
            and below it whose suffix is that of an image, in the order of their paths.

    Raises:
        UserError: If something is not an image, or a path does not exist.
    """
    for index, (name, source) in enumerate(_iterate(images)):
        if isinstance(source, Path):
            yield load_image(index, source)
            continue
        name = name or f"image {index}"
        try:
            yield LoadedImage(index, name, Pixels.from_image(source))
        except (ValueError, OSError) as error:
            yield LoadedImage(index, name, None, f"{type(error).__name__}: {error}")


def load_image(index: int, path: Path) -> LoadedImage:
    """Reads and decodes a file; a failure is recorded as the image's problem, not raised."""
    try:
        content = path.read_bytes()
    except OSError as error:  # it is gone, forbidden, or on a disk that fails
        return LoadedImage(index, str(path), None, f"{type(error).__name__}: {error.strerror}")
    decoded = decode(content)
    return LoadedImage(index, str(path), decoded.pixels, decoded.problem)


def find_files(path: Path, extra_suffixes: Collection[str] = ()) -> list[Path]:
    """Lists the images in and below a folder; returns a file's path as it is.

    Folders that cannot be opened are listed too: whoever reads them gets the reason.

    Args:
        path: A file or a folder.
        extra_suffixes: Suffixes of other files to list too, such as '.mp4'.

    Raises:
        UserError: If `path` does not exist, or the folder holds no such file.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(
            expected=f"an image or a folder at {path}", found="nothing", fix="correct the path"
        )
    suffixes = {*Image.registered_extensions(), *extra_suffixes}
    unopened: list[Path] = []
    walk = os.walk(path, onerror=lambda error: unopened.append(Path(error.filename)))
    files = (Path(folder, name) for folder, _, names in walk for name in names)
    matching = [
        file
        for file in files
        if file.suffix.lower() in suffixes and file.is_file() and not file.name.startswith(".")
    ]
    if not matching and not unopened:
        raise UserError(
            expected=f"an image in {path}, or below it",
            found="no file with the suffix of an image",
            fix="correct the path, or name the files themselves",
        )
    return sorted([*matching, *unopened])


def _iterate(images: Any) -> Iterator[tuple[str, Path | Image.Image]]:
    """Yields names and sources; the name of an image in memory is empty, or its file's if known."""
    if isinstance(images, str | Path):
        for path in find_files(Path(images)):
            yield str(path), path
    elif isinstance(images, Image.Image):
        yield str(getattr(images, "filename", "")), images
    elif isinstance(images, np.ndarray):
        for one in _split_batch(images):
            yield "", Image.fromarray(one)
    elif isinstance(images, Iterable) and not isinstance(images, bytes | dict | set):
        for one in images:
            yield from _iterate(one)
    else:
        raise UserError(
            expected=_ACCEPTED,
            found=f"{type(images).__name__}",
            fix="convert it, with numpy.asarray or PIL.Image.open",
        )


def _split_batch(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the images of an array, whose last axis holds the colours if it has length 3."""
    axes = array.ndim - (array.shape[-1:] == (3,))
    # transparency or a single channel, not strips of a few pixels
    channels = array.ndim == 3 and array.shape[-1] in (1, 2, 4)
    if array.dtype != np.uint8 or axes not in (2, 3) or channels or 0 in array.shape[-axes:]:
        raise UserError(
            expected=_ACCEPTED,
            found=f"an array of {array.dtype} {list(array.shape)}",
            fix="scale pixels to 0..255, round them and use .astype('uint8'); put the colours last",
        )
    yield from array if axes == 3 else [array]
