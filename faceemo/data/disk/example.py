"""A stored example, read without TensorFlow: an image, its label and its path.

TFDS writes examples as messages of the type tf.train.Example. Its own reader imports a second's
worth of modules, which every worker process would pay for.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # types of fields, in the encoding's terms


class Example(NamedTuple):
    """One stored image.

    Attributes:
        image: The encoded image, PNG.
        label: Position of its class.
        path: Its path below the folder of unique images, as `errors.escape_name` gives it.
    """

    image: bytes
    label: int
    path: str


def parse(record: bytes) -> Example:
    """Parses a message that TFDS has written with the features image, label and path.

    Raises:
        ValueError: If it is no such message.
    """
    values = {}
    for features in _read_all(record, 1):
        for entry in _read_all(features, 1):  # a map, from the feature's name to its values
            (name,), (feature,) = _read_all(entry, 1), _read_all(entry, 2)
            (values[bytes(name)],) = _fields(feature)
    try:
        (image,), (path,) = (_read_all(values[name][1], 1) for name in (b"image", b"path"))
        ((_, labels),) = _fields(values[b"label"][1])
    except KeyError as error:
        raise ValueError(f"no feature {error}") from error
    label = labels if isinstance(labels, int) else _read_varint(labels, 0)[0]
    return Example(bytes(image), label, bytes(path).decode())


def decode(image: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Decodes a stored image.

    Args:
        image: The encoded image.
        shape: The shape that it has: [S, S] in grey, [S, S, 3] in colour.

    Returns:
        uint8 of that shape, RGB.

    Raises:
        ValueError: If it cannot be decoded, or has another shape.
    """
    import cv2  # which steps on images in memory do without

    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape != shape:
        raise ValueError("an image that cannot be decoded" if pixels is None else f"{pixels.shape}")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if pixels.ndim == 3 else pixels


def _read_all(message: bytes | memoryview | int, number: int) -> list[memoryview]:
    """Returns the contents of all fields of a message that have this number."""
    found = [content for field, content in _fields(message) if field == number]
    if not all(isinstance(content, memoryview) for content in found):
        raise ValueError(f"a number in field {number}")
    return found  # pyright: ignore[reportReturnType]


def _fields(message: bytes | memoryview | int) -> Iterator[tuple[int, memoryview | int]]:
    """Yields the number and the content of each field of a message."""
    if isinstance(message, int):
        raise ValueError("a number in the place of a message")
    message, place = memoryview(message), 0
    while place < len(message):
        key, place = _read_varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            content, place = _read_varint(message, place)
            yield key >> 3, content
            continue
        if kind == _BYTES:
            size, place = _read_varint(message, place)
        elif kind in (_FOUR_BYTES, _EIGHT_BYTES):
            size = 4 if kind == _FOUR_BYTES else 8
        else:
            raise ValueError(f"a field of type {kind}")
        if place + size > len(message):
            raise ValueError("a field that is cut off")
        yield key >> 3, message[place : place + size]
        place += size


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    """Reads a number, seven bits a byte, and returns it and the place after it."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
        if byte < 0x80:
            return value, place
    raise ValueError("a number that is cut off")
