"""Predictions as text: an aligned table, CSV or JSON lines, one line per prediction."""

import csv
import io
import json
from collections.abc import Callable, Sequence

from faceemo.analysis.theme.text import shorten
from faceemo.errors import escape_name
from faceemo.inference.prediction import Prediction

FORMATS = ("table", "csv", "jsonl")
_NAME_WIDTH = 40  # characters of a name in a table
_FRAME_WIDTH = 8  # those of them that a frame's number takes, as in 'film.mp4#1234567'
_EDGES = ("left", "top", "right", "bottom")


def make_formatter(kind: str, classes: Sequence[str]) -> tuple[str, Callable[[Prediction], str]]:
    """Makes the header, empty if there is none, and a function that formats one prediction.

    Args:
        kind: One of `FORMATS`.
        classes: The predictor's classes.
    """
    if kind == "jsonl":  # in ASCII, which terminals of any encoding show
        return "", lambda prediction: json.dumps(prediction.to_dict())
    if kind == "csv":
        columns = ("index", "name", "status", "label", *classes, *_EDGES, "face_confidence")
        region = (f"region_{edge}" for edge in _EDGES)
        columns = (*columns, "leaning", *region, "time", "problem", "track")
        return _csv(columns), lambda prediction: _csv(_cells(prediction, classes))
    headings = "".join(f"{name[:9]:>10}" for name in classes)
    header = f"{'image':<{_NAME_WIDTH}}  {'emotion':<10}{headings}{'face':>7}  box"
    return header, lambda prediction: _table_row(prediction, classes)


def _cells(prediction: Prediction, classes: Sequence[str]) -> list[object]:
    probabilities = [
        f"{prediction.probabilities[name]:.6g}" if prediction.probabilities else ""
        for name in classes
    ]
    fields = prediction.to_dict()
    facts = [fields[name] for name in ("index", "name", "status", "label")]
    box, region = (fields[name] or [None] * 4 for name in ("box", "region"))
    found = [*box, fields["face_confidence"], fields["leaning"], *region]
    # None becomes an empty cell
    later = [fields[name] for name in ("time", "problem", "track")]
    return [*facts, *probabilities, *found, *later]


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
    return f"{name:<{_NAME_WIDTH}}  {label:<10}{probabilities}{face:>7}  {box}"


def _shorten_name(name: str) -> str:
    """Shortens the name of an image or of a video's frame; that of a video is always cut alike."""
    video, mark, frame = name.rpartition("#")
    if mark and frame.isdecimal():
        return f"{shorten(video, _NAME_WIDTH - _FRAME_WIDTH)}#{frame}"
    return shorten(name, _NAME_WIDTH)
