"""Answers as text: aligned, CSV or JSON lines, each line as soon as it is known."""

import csv
import io
import json
from collections.abc import Callable, Sequence

from faceemo.analysis.theme import style
from faceemo.inference.prediction import Prediction

FORMATS = ("table", "csv", "jsonl")
_NAME = 40  # characters of a name in a table


def formatter(kind: str, classes: Sequence[str]) -> tuple[str, Callable[[Prediction], str]]:
    """The first line, empty if there is none, and what makes a line of an answer.

    Args:
        kind: one of `FORMATS`.
        classes: of the predictor.
    """
    if kind == "jsonl":
        return "", lambda one: json.dumps(one.to_dict(), ensure_ascii=False)
    if kind == "csv":
        columns = ("index", "name", "status", "label", *classes)
        box = ("left", "top", "right", "bottom", "face_confidence")
        return _csv([*columns, *box]), lambda one: _csv(_cells(one, classes))
    heading = "".join(f"{name[:9]:>10}" for name in classes)
    head = f"{'image':<{_NAME}}  {'answer':<10}{heading}{'face':>7}  box"
    return head, lambda one: _row(one, classes)


def _cells(one: Prediction, classes: Sequence[str]) -> list[object]:
    chances = [f"{one.probabilities[name]:.6g}" if one.probabilities else "" for name in classes]
    confidence = "" if one.face_confidence is None else one.face_confidence
    box = one.box or ("",) * 4
    return [one.index, one.name, one.status, one.label or "", *chances, *box, confidence]


def _csv(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _row(one: Prediction, classes: Sequence[str]) -> str:
    answer = one.label or one.status.replace("_", " ")
    chances = "".join(
        f"{one.probabilities[name]:>10.3f}" if one.probabilities else f"{'-':>10}"
        for name in classes
    )
    confidence = "-" if one.face_confidence is None else f"{one.face_confidence:.3f}"
    box = ",".join(f"{edge:.0f}" for edge in one.box) if one.box else "-"
    name = style.shortened(one.name, _NAME)
    return f"{name:<{_NAME}}  {answer:<10}{chances}{confidence:>7}  {box}"
