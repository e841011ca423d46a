"""Predictions as text: an aligned table, CSV or JSON lines, one line per prediction."""

import csv
import io
import json
from collections.abc import Callable, Sequence

from faceemo.analysis.theme.text import shorten
from faceemo.inference.prediction import Prediction

FORMATS = ("table", "csv", "jsonl")
_NAME_WIDTH = 40  # characters of a name in a table


def make_formatter(kind: str, classes: Sequence[str]) -> tuple[str, Callable[[Prediction], str]]:
    """Makes the header, empty if there is none, and a function that formats one prediction.

    Args:
        kind: One of `FORMATS`.
        classes: The predictor's classes.
    """
    if kind == "jsonl":
        return "", lambda prediction: json.dumps(prediction.to_dict(), ensure_ascii=False)
    if kind == "csv":
        columns = ("index", "name", "status", "label", *classes)
        box = ("left", "top", "right", "bottom", "face_confidence")
        return _csv([*columns, *box]), lambda prediction: _csv(_cells(prediction, classes))
    headings = "".join(f"{name[:9]:>10}" for name in classes)
    header = f"{'image':<{_NAME_WIDTH}}  {'emotion':<10}{headings}{'face':>7}  box"
    return header, lambda prediction: _table_row(prediction, classes)


def _cells(prediction: Prediction, classes: Sequence[str]) -> list[object]:
    probabilities = [
        f"{prediction.probabilities[name]:.6g}" if prediction.probabilities else ""
        for name in classes
    ]
    confidence = "" if prediction.face_confidence is None else prediction.face_confidence
    box = prediction.box or ("",) * 4
    facts = [prediction.index, prediction.name, prediction.status, prediction.label or ""]
    return [*facts, *probabilities, *box, confidence]


def _csv(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _table_row(prediction: Prediction, classes: Sequence[str]) -> str:
    label = prediction.label or prediction.status.replace("_", " ")
    probabilities = "".join(
        f"{prediction.probabilities[name]:>10.3f}" if prediction.probabilities else f"{'-':>10}"
        for name in classes
    )
    confidence = prediction.face_confidence
    face = "-" if confidence is None else f"{confidence:.3f}"
    box = ",".join(f"{edge:.0f}" for edge in prediction.box) if prediction.box else "-"
    name = shorten(prediction.name, _NAME_WIDTH)
    return f"{name:<{_NAME_WIDTH}}  {label:<10}{probabilities}{face:>7}  {box}"
