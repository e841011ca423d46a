"""FER2013 as one csv: a row per image, with its emotion, its grey pixels and its usage.

Both spellings are read, fer2013.csv (`emotion,pixels,Usage`) and icml_face_data.csv
(`emotion, Usage, pixels`), with commas, semicolons or tabs between the fields; blank lines are no
rows. An image's name is its row, counted from 0, which is how the sets of
files made from FER2013 name it too.
"""

import io
import math
import re
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from PIL import Image

from faceemo.data.source import table_text
from faceemo.data.source.layout import Destination, Layout, parse_split
from faceemo.data.source.table_text import read_fields
from faceemo.errors import UserError

# The order in which FER2013 numbers its emotions.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_NUMBER = re.compile(f"0*([0-{len(EMOTIONS) - 1}])")


class FerRow(NamedTuple):
    """One row of the table."""

    row: int
    label: str
    usage: str  # '' if the table has no such column
    pixels: str  # '70 80 82 ...'

    @property
    def name(self) -> str:
        """The name of the image file that is made from the row."""
        return f"{self.row}.png"


def read_rows(source: str, stream: TextIO) -> Iterator[FerRow]:
    """Reads the rows of the table in order.

    Args:
        source: Name of the table, for messages.
        stream: The open csv.

    Raises:
        UserError: If it is no such table.
    """
    with table_text.checked(source):
        table = read_fields(stream)
        header = [name.strip().casefold() for name in next(table, [])]
        if not {"emotion", "pixels"} <= set(header):
            raise UserError(
                expected=f"the columns emotion, pixels and perhaps Usage in {source}",
                found=", ".join(header)[:200] or "an empty file",
                fix="use fer2013.csv or icml_face_data.csv; test.csv has no labels",
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
            if number := _NUMBER.fullmatch(label):
                label = EMOTIONS[int(number[1])]
            yield FerRow(
                row, label, fields[usage].strip() if usage is not None else "", fields[pixels]
            )


def read_layout(source: str, stream: TextIO) -> Layout:
    """Reads the destinations of the table's images, by the names of their files.

    Args:
        source: Name of the table, for messages.
        stream: The open csv.

    Raises:
        UserError: If it is no such table, or a Usage or label in it is unknown.
    """
    destinations, usages = {}, set()
    for image in read_rows(source, stream):
        split = parse_split(image.usage) if image.usage else "train"
        if split is None or not image.label:
            raise UserError(
                expected=f"Usage Training, PublicTest or PrivateTest and an emotion in {source}",
                found=f"Usage '{image.usage}' and emotion '{image.label}' in row {image.row}",
                fix="correct that row",
            )
        usages.add(image.usage)
        destinations[image.name] = Destination(split, image.label, image.name)
    splits = [f"{usage} is {parse_split(usage)}" for usage in sorted(usages - {""})]
    return Layout("FER2013's csv, an image per row", destinations, tuple(splits))


def encode_png(pixels: str) -> bytes:
    """Encodes the pixels of a row as a square grey PNG.

    Pixels that are no square image come back as text, which the ledger records as unreadable.
    """
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
