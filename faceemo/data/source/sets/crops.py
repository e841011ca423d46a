"""Faces that a source cuts out of its photographs, by the boxes in its lists."""

import collections
import io
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping

from faceemo.data.measure import metadata
from faceemo.data.measure.decode import open_image, refuse_bombs
from faceemo.data.source.layout import Crop

_PNG_HEAD = 1024  # an upper bound of what is not pixels, bytes
_PLAIN_MODES = ("L", "RGB", "I;16")
_Read = Callable[[Collection[str]], Iterator[tuple[str, bytes]]]


def file_of(path: str, crops: Mapping[str, Crop]) -> str:
    """Returns the path of the file that holds an image."""
    return crops[path].file if path in crops else path


def bound_bytes(crop: Crop) -> int:
    """Returns an upper bound of the size of a crop's PNG, in bytes."""
    left, top, right, bottom = crop.box
    return _PNG_HEAD + round(4 * (right - left + 2) * (bottom - top + 2))


def read(
    paths: Collection[str],
    crops: Mapping[str, Crop],
    read_contents: _Read,
    problems: MutableMapping[str, str],
) -> Iterator[tuple[str, bytes]]:
    """Yields path and content of images, some of which are parts of files.

    Args:
        paths: Paths of the images in their source.
        crops: Parts of files, by the path of the image. A file is read once for all its parts.
        read_contents: Yields path and content of files.
        problems: Receives the reason for each image that is passed over.
    """
    images_in = collections.defaultdict(list)
    for path in paths:
        images_in[file_of(path, crops)].append(path)
    for file, content in read_contents(images_in):
        for path in images_in[file]:
            if path not in crops:
                yield path, content
            elif (part := cut(content, crops[path])) is not None:
                yield path, part
            else:
                problems[path] = "its box lies outside the photograph"


def cut(content: bytes, crop: Crop) -> bytes | None:
    """Cuts a box out of an image file, as a PNG with all colours.

    What of the box lies outside the image is not part of the crop. A file that cannot be decoded
    comes back whole, so that the ledger says what is wrong with it.

    Args:
        content: The file's bytes.
        crop: The box, in pixels of the image as it is stored.

    Returns:
        The bytes of the PNG, upright; None if the box lies outside the image.
    """
    try:
        with open_image(content) as image:
            refuse_bombs(image.size, len(content))
            image.load()
            width, height = image.size
            left, top, right, bottom = map(round, crop.box)
            box = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
            if box[0] >= box[2] or box[1] >= box[3]:
                return None
            part = image.crop(box)
            metadata.set_orientation(part, metadata.read_orientation(image))
            upright = metadata.turn_upright(part)
    except Exception:  # decoders raise anything on damaged input
        return content
    if upright.mode not in _PLAIN_MODES:
        upright = upright.convert("RGBA" if upright.mode in ("P", "PA", "LA") else "RGB")
    upright.info.clear()
    stream = io.BytesIO()
    upright.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
