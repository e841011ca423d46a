"""Tables as text: their encoding, and the fields of their rows."""

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterator
from typing import IO, TextIO

from faceemo.errors import UserError

_DELIMITERS = ",;\t"
_MAX_CHARACTERS = 2**24  # of one field: an image of 2000x2000 pixels


def open_text(binary: IO[bytes]) -> TextIO:
    """Opens a table as text; closing that closes `binary`.

    Its first two bytes tell the encoding: Excel may write UTF-16.
    """
    encoding = "utf-16" if binary.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    binary.seek(0)
    return io.TextIOWrapper(binary, encoding=encoding, newline="")


@contextlib.contextmanager
def checked(source: str) -> Iterator[None]:
    """Turns what the body raises over text that is no table into a UserError.

    Args:
        source: Name of the table, for the message.
    """
    csv.field_size_limit(_MAX_CHARACTERS)
    try:
        yield
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(
            expected=f"a csv of text at {source}",
            found=str(error),
            fix="download or copy it again",
        ) from error


def read_fields(stream: TextIO) -> Iterator[list[str]]:
    """Reads the fields of each line that is not blank; commas, semicolons or tabs separate them."""
    first = next((line for line in stream if line.strip()), "")
    if match := re.fullmatch(r"sep=([^\w\r\n \"])\s*", first):  # written by Excel
        delimiter, first = match[1], next(stream, "")
    else:
        delimiter = max(_DELIMITERS, key=first.count)
    for fields in csv.reader(itertools.chain([first], stream), delimiter=delimiter):
        if any(map(str.strip, fields)):
            yield fields
