"""Predictions as text: an aligned table, CSV, JSON or JSON Lines."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from faceemo.analysis.theme.text import shorten
from faceemo.errors import escape_name
from faceemo.inference.prediction import Prediction

FORMATS = ("table", "csv", "json", "jsonl")
_NAME_WIDTH = 40  # characters of a name in a table
_FRAME_WIDTH = 8  # those of them that a frame's number takes, as in 'film.mp4#1234567'
_BOX_WIDTH = 19  # characters of a box in a table: 'left,top,right,bottom' up to 9,999 pixels
_EDGES = ("left", "top", "right", "bottom")


class _Layout(NamedTuple):
    """The text around predictions.

    Attributes:
        start: Before the first one.
        between: Before each other one.
        after: After each one.
        end: After the last one.
        empty: In place of all, if there is none.
    """

    start: str = ""
    between: str = ""
    after: str = "\n"
    end: str = ""
    empty: str = ""


class Writer:
    """A stream of text to which predictions are written as they come.

    Args:
        kind: One of `FORMATS`.
        classes: The predictor's classes.
        stream: The stream.
    """

    def __init__(self, kind: str, classes: Sequence[str], stream: TextIO):
        header, self._format = make_formatter(kind, classes)
        start = f"{header}\n" if header else ""
        self._layout = {
            "json": _Layout("[\n", ",\n", "", "\n]\n", "[]\n"),
            "csv": _Layout(start, empty=start),  # its readers need the header in any case
        }.get(kind, _Layout(start))
        self._stream, self._is_empty = stream, True

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Writes predictions; a terminal or pipe gets them at once."""
        for one in predictions:
            before = self._layout.start if self._is_empty else self._layout.between
            self._stream.write(f"{before}{self._format(one)}{self._layout.after}")
            self._is_empty = False
        if self._stream is sys.stdout:
            self._stream.flush()

    def end(self) -> None:
        """Writes what follows the last prediction."""
        self._stream.write(self._layout.empty if self._is_empty else self._layout.end)


def make_formatter(kind: str, classes: Sequence[str]) -> tuple[str, Callable[[Prediction], str]]:
    """Makes the header, empty if there is none, and a function that formats one prediction.

    Args:
        kind: One of `FORMATS`.
        classes: The predictor's classes.
    """
    if kind in ("json", "jsonl"):  # in ASCII, which terminals of any encoding show
        return "", lambda prediction: json.dumps(prediction.to_dict())
    if kind == "csv":
        columns = list_columns(classes)
        return _csv(make_columns(classes)), lambda prediction: _csv(_cells(prediction, columns))
    headings = "".join(f"{name[:9]:>10}" for name in classes)
    header = (
        f"{'image':<{_NAME_WIDTH}}  {'emotion':<10}{headings}{'face':>7}  {'box':<{_BOX_WIDTH}}  "
    )
    header += "reason"
    return header, lambda prediction: _table_row(prediction, classes)


class Column(NamedTuple):
    """A column of the CSV.

    Attributes:
        name: Its heading.
        field: The field of `Prediction` that it holds.
        key: The place in that field, an index or a class; None if it holds all of the field.
    """

    name: str
    field: str
    key: int | str | None = None


def list_columns(classes: Sequence[str]) -> tuple[Column, ...]:
    """Returns the columns of the CSV. New ones come last, as some readers count columns."""
    edges = tuple(enumerate(_EDGES))
    return (
        *(Column(name, name) for name in ("index", "name", "status", "label")),
        *(Column(name, "probabilities", name) for name in classes),
        *(Column(edge, "box", place) for place, edge in edges),
        *(Column(name, name) for name in ("face_confidence", "leaning")),
        *(Column(f"region_{edge}", "region", place) for place, edge in edges),
        *(Column(name, name) for name in ("time", "problem", "probability", "track", "reason")),
    )


def make_columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Returns the headings of the CSV's columns."""
    return tuple(column.name for column in list_columns(classes))


def _cells(prediction: Prediction, columns: Sequence[Column]) -> list[object]:
    """Returns the cells of a row; None becomes an empty one."""
    fields = prediction.to_dict()
    return [_get_cell(fields, column) for column in columns]


def _get_cell(fields: Mapping[str, Any], column: Column) -> object:
    value = fields[column.field]
    if isinstance(column.key, int):
        value = None if value is None else value[column.key]
    elif column.key is not None:
        value = value.get(column.key)
    return _round(value) if column.field in ("probability", "probabilities") else value


def _round(probability: float | None) -> str | None:
    return None if probability is None else f"{probability:.6g}"


def _csv(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _table_row(prediction: Prediction, classes: Sequence[str]) -> str:
    label = prediction.label or prediction.status
    probabilities = "".join(
        f"{prediction.probabilities[name]:>10.3f}" if prediction.probabilities else f"{'-':>10}"
        for name in classes
    )
    confidence = prediction.face_confidence
    face = "-" if confidence is None else f"{confidence:.3f}"
    box = ",".join(f"{edge:.0f}" for edge in prediction.box) if prediction.box else "-"
    name = _shorten_name(escape_name(prediction.name))
    reason = "" if prediction.problem else prediction.reason  # problems are listed at the end
    line = f"{name:<{_NAME_WIDTH}}  {label:<10}{probabilities}{face:>7}  {box:<{_BOX_WIDTH}}  "
    return f"{line}{escape_name(reason)}".rstrip()


def _shorten_name(name: str) -> str:
    """Shortens the name of an image or of a video's frame; that of a video is always cut alike."""
    video, mark, frame = name.rpartition("#")
    if mark and frame.isdecimal():
        return f"{shorten(video, _NAME_WIDTH - _FRAME_WIDTH)}#{frame}"
    return shorten(name, _NAME_WIDTH)
