"""Tables of FER2013's form, and strategies that draw valid and damaged ones."""

import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from faceemo.config import CLASSES
from faceemo.data.source import fer_csv

from .corpus import draw_image

_HEADER = ("emotion", "pixels", "Usage")
_DELIMITERS = (",", ";", "\t")
_SIZE = 8  # pixels, so that a row has few bytes
# Fields that a careless reader handles wrongly.
_ODD_FIELDS = (
    *("", " ", "-1", "7", "99", "9" * 5000, "²", "٣", "joy", "fröhlich", "a/b", "..", "\0", '"'),
    *("1 2 3", "256 0 0 0", "-1 0 0 0", f"{10**30} 0 0 0", "1.5 2 3 4", "0 " * 10_000),
    *("Training", "PublicTest", "PrivateTest", "Test", "training ", "x" * 70_000, "'", "1,2", "\n"),
)
_ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1")


@functools.cache
def tables() -> Mapping[str, bytes]:
    """Makes tables with every delimiter, encoding and kind of blank line that is read."""
    rows = _valid_rows()
    comma, semicolon, tab = (_format_table(rows, delimiter) for delimiter in _DELIMITERS)
    return {
        "plain.csv": comma.encode(),
        "semicolons.csv": semicolon.encode(),
        "tabs.tsv": tab.encode(),
        "blank lines.csv": f"\n{comma.replace('Training', 'Training ', 1)}\n , ,\n\n\n".encode(),
        "windows.csv": f"sep=;\n{semicolon}\n".replace("\n", "\r\n").encode("utf-8-sig"),
        "excel.csv": tab.encode("utf-16"),
        "spaced.csv": comma.replace(",", ", ").encode(),
    }


@st.composite
def made_tables(draw: st.DrawFn) -> bytes:
    """Draws a table in which some fields, lines and the encoding may be wrong."""
    delimiter = draw(st.sampled_from(_DELIMITERS))
    rows = list(_valid_rows())
    for _ in range(draw(st.integers(0, 3))):
        row, field = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, 2))
        changed = list(rows[row])
        changed[field : field + draw(st.integers(0, 2))] = [draw(st.sampled_from(_ODD_FIELDS))]
        rows[row] = changed
    lines = _format_table(rows, delimiter).splitlines()
    odd_line = st.sampled_from(("", "  ", delimiter * 2, '"', "\0", "\x0c")) | st.text(max_size=9)
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(0, len(lines))), draw(odd_line))
    if draw(st.booleans()):
        lines.insert(0, f"sep={draw(st.sampled_from(';,|') | st.text(max_size=2))}")
    end = draw(st.sampled_from(("\n", "\r\n", "\r")))
    return end.join([*lines, ""]).encode(draw(st.sampled_from(_ENCODINGS)), errors="replace")


@functools.cache
def _valid_rows() -> Sequence[Sequence[str]]:
    """Returns the header, and two rows per class."""
    rows: list[Sequence[str]] = [_HEADER]
    for row, label in enumerate(CLASSES * 2):
        pixels = " ".join(map(str, np.asarray(draw_image(row, _SIZE)).ravel()))
        rows.append((f"{fer_csv.EMOTIONS.index(label)}", pixels, "Training"))
    return rows


def _format_table(rows: Iterable[Sequence[str]], delimiter: str) -> str:
    return "".join(f"{delimiter.join(row)}\n" for row in rows)
