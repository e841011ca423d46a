"""FER2013 as one csv: a row per image, with its emotion, its grey pixels and its usage.

Both spellings are read, fer2013.csv (`emotion,pixels,Usage`) and icml_face_data.csv
(`emotion, Usage, pixels`). An image's name is its row, counted from 0, which is how the sets of
files made from FER2013 name it too.
"""

import csv
import io
import math
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from PIL import Image

from faceemo.data.source.layout import Layout, Place, split_named
from faceemo.errors import UserError

# The order in which FER2013 numbers its emotions.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_MAX_CHARACTERS = 2**24  # of one field: an image of 2000x2000 pixels


class Face(NamedTuple):
    """One row of the table."""

    row: int
    label: str
    usage: str  # '' where the table has no such column
    pixels: str  # '70 80 82 ...'

    @property
    def name(self) -> str:
        """Of the file that it becomes."""
        return f"{self.row}.png"


def rows(source: str, stream: TextIO) -> Iterator[Face]:
    """The rows of the table in `stream`, in order.

    Raises:
        UserError: if it is no such table.
    """
    csv.field_size_limit(_MAX_CHARACTERS)
    try:
        table = csv.reader(stream)
        header = [name.strip().casefold() for name in next(table, [])]
        if not {"emotion", "pixels"} <= set(header):
            raise UserError(
                expected=f"the columns emotion, pixels and perhaps Usage in {source}",
                found=", ".join(header)[:200] or "an empty file",
                fix="take fer2013.csv or icml_face_data.csv; test.csv has no labels",
            )
        emotion, pixels = header.index("emotion"), header.index("pixels")
        usage = header.index("usage") if "usage" in header else None
        for row, fields in enumerate(table):
            if len(fields) != len(header):
                raise UserError(
                    expected=f"{len(header)} fields in every row of {source}",
                    found=f"{len(fields)} in row {row}",
                    fix="download or copy it again: it may be cut off",
                )
            label = fields[emotion].strip()
            if label.isascii() and label.isdigit() and int(label) < len(EMOTIONS):
                label = EMOTIONS[int(label)]
            yield Face(
                row, label, fields[usage].strip() if usage is not None else "", fields[pixels]
            )
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(
            expected=f"a csv of text at {source}",
            found=str(error),
            fix="download or copy it again",
        ) from error


def layout(source: str, stream: TextIO) -> Layout:
    """Where the images of the table belong, by the names of their files.

    Raises:
        UserError: if it is no such table, or a Usage or label in it is unknown.
    """
    places, usages = {}, set()
    for face in rows(source, stream):
        split = split_named(face.usage) if face.usage else "train"
        if split is None or not face.label:
            raise UserError(
                expected=f"Usage Training, PublicTest or PrivateTest and an emotion in {source}",
                found=f"Usage '{face.usage}' and emotion '{face.label}' in row {face.row}",
                fix="correct that row",
            )
        usages.add(face.usage)
        places[face.name] = Place(split, face.label, face.name)
    splits = [f"{usage} is {split_named(usage)}" for usage in sorted(usages - {""})]
    return Layout("FER2013's csv, an image per row", places, tuple(splits))


def png(pixels: str) -> bytes:
    """A square grey image of `pixels`; what is none comes back as it is, to be booked as such."""
    try:
        values = bytes(map(int, pixels.split()))
        side = math.isqrt(len(values))
        image = Image.frombytes("L", (side, side), values)
        if not side or side * side != len(values):
            raise ValueError
    except ValueError:
        return pixels.encode()
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
