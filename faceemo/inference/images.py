"""Loading of images in any form that a user may have them in, one after the other."""

import dataclasses
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from PIL import Image

from faceemo.data.measure.decode import Pixels, decode, describe_problem
from faceemo.errors import UserError
from faceemo.inference import arrays

_ACCEPTED = (
    "images: paths of files or folders, open files, PIL images, uint8 arrays, or lists of these"
)
_FIXES = {  # for what is no image, by its type
    bytes: "give the content of a file as io.BytesIO(content), a path as str",
    bytearray: "give the content of a file as io.BytesIO(content)",
    Mapping: "give its images, without their names: list(x.values())",
    Set: "give a list, as the predictions come in the order of the images",
    type(None): "look where it comes from: cv2.imread returns None for what it cannot read",
}


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
        images: One or many, in the forms that `Predictor.predict` lists. A folder stands for all
            files in and below it whose suffix is that of an image, in the order of their paths.

    Raises:
        UserError: If something is not an image, or a path does not exist.
    """
    for index, (name, source) in enumerate(_iterate(images)):
        if isinstance(source, Path):
            yield load_image(index, source)
            continue
        name = name or f"image {index}"
        if isinstance(source, bytes):
            decoded = decode(source)
            yield LoadedImage(index, name, decoded.pixels, decoded.problem)
            continue
        try:
            yield LoadedImage(index, name, Pixels.from_image(source))
        except Exception as error:  # Pillow decodes lazily, and raises anything on damaged files
            yield LoadedImage(index, name, None, describe_problem(error))


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


def _iterate(images: Any) -> Iterator[tuple[str, Path | bytes | Image.Image]]:
    """Yields names and sources, bytes being the content of an open file.

    The name of an image in memory is empty, or its file's if that is known.
    """
    if isinstance(images, str | os.PathLike):
        for path in find_files(Path(images)):
            yield str(path), path
    elif isinstance(images, Image.Image):
        yield str(getattr(images, "filename", "")), images
    elif hasattr(images, "read"):
        name = getattr(images, "name", "")
        yield name if isinstance(name, str) else "", _read_file(images)
    elif arrays.is_array(images):
        for one in arrays.split_batch(images):
            yield "", one
    elif isinstance(images, Iterable) and not isinstance(images, tuple(_FIXES)):
        for one in images:
            yield from _iterate(one)
    else:
        fixes = (fix for kind, fix in _FIXES.items() if isinstance(images, kind))
        raise UserError(
            expected=_ACCEPTED,
            found=f"{type(images).__name__}",
            fix=next(fixes, "convert it, with numpy.asarray or PIL.Image.open"),
        )


def _read_file(file: Any) -> bytes:
    """Reads an open file from its beginning, or from where it is if it has no beginning.

    Raises:
        UserError: If it is closed, cannot be read, or was opened as text.
    """
    try:
        if file.seekable():
            file.seek(0)
        content = file.read()
    except Exception as error:  # each kind of file raises its own
        raise UserError(
            expected="an open file with an image",
            found=f"{type(file).__name__}: {type(error).__name__}: {error}",
            fix="predict before the file is closed, or give its path",
        ) from error
    if not isinstance(content, bytes):
        raise UserError(
            expected="a file that is open for reading bytes",
            found=f"{type(file).__name__}, which reads text",
            fix="open it with mode 'rb', or give its path",
        )
    return content
