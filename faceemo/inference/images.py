"""Loading of images in any form that a user may have them in, one after the other."""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from PIL import Image

from faceemo.data.measure.decode import Pixels, decode, describe_problem
from faceemo.errors import UserError
from faceemo.inference import arrays
from faceemo.inference.inputs import OTHER, Input, describe_others, find_inputs
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.read_input import read_input

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


def load_images(images: Any) -> Iterator[LoadedImage]:
    """Decodes one image after the other; reads each file when its turn comes.

    What cannot be read yields an image with the problem in place of pixels.

    Args:
        images: One or many, in the forms that `Predictor.predict` lists. A folder stands for all
            images and films in and below it, in the order of their paths; a warning lists its other
            files. A film, or an animated image, yields its frames.

    Raises:
        UserError: If something is not an image, or a path does not exist.
    """
    index = -1
    for name, source in _iterate(images):
        index += 1
        if isinstance(source, Input):
            for image in read_input(source, index):
                index = image.index
                yield image
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


def _iterate(images: Any) -> Iterator[tuple[str, Input | bytes | Image.Image]]:
    """Yields names and sources, bytes being the content of an open file.

    The name of an image in memory is empty, or its file's if that is known.
    """
    if isinstance(images, str | os.PathLike):
        inputs = find_inputs([Path(images)])
        if Path(images).is_dir():
            _warn_of_others(inputs)
            inputs = [one for one in inputs if one.kind != OTHER]
        for one in inputs:
            yield str(one.path), one
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


def _warn_of_others(inputs: Sequence[Input]) -> None:
    """Warns of the files in a folder that are left out."""
    if lines := describe_others(inputs):
        warnings.warn(f"left out: {'; '.join(lines)}", stacklevel=2)
