"""The page of a report: one HTML file with everything inside, for any screen and for print."""

import base64
import functools
import importlib.resources
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from faceemo.analysis import evaluate, figures, style
from faceemo.analysis.evaluate import Predictions

_THUMBNAIL = 96  # pixels: enough for the page, and larger images would swell it


def render(
    *,
    title: str,
    split: str,
    drawn: bool,
    predictions: Predictions,
    scores: dict[str, Any],
    curves: Sequence[tuple[str, bytes, bytes]],
    history: Sequence[dict[str, float]],
    summary: Mapping[str, Any],
) -> str:
    """The page as text. Everything that comes from outside is escaped.

    Args:
        title: model and split.
        split: name of the split.
        drawn: whether the images are drawings, which the page then says.
        predictions: the model's answers.
        scores: of `evaluate.scores`.
        curves: (name, PNG for light screens and print, PNG for dark screens) of learning curves.
        history: a row per epoch, see `report.write`.
        summary: about the run; mappings inside it become tables of their own.
    """
    return _template().render(
        title=title,
        split=split,
        drawn=drawn,
        scores=scores,
        classes=predictions.classes,
        light=style.LIGHT,
        dark=style.DARK,
        matrix=_matrix(scores),
        curves=[(name, _uri(light), _uri(dark)) for name, light, dark in curves],
        history=history,
        best_epoch=figures.best_epoch(history),
        groups=_mistakes(predictions),
        facts=[(key, value) for key, value in summary.items() if not isinstance(value, Mapping)],
        tables=[(key, value) for key, value in summary.items() if isinstance(value, Mapping)],
    )


def _matrix(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """The confusion matrix as rows of cells for the page."""
    themes = {"light": style.LIGHT, "dark": style.DARK}

    def colours(share: float) -> dict[str, tuple[str, str]]:
        """Background and text of a cell on either kind of screen."""
        backs = {name: to_hex(style.shades(theme)(share)) for name, theme in themes.items()}
        return {name: (back, style.readable_on(back)) for name, back in backs.items()}

    rows = []
    for true, counts in zip(scores["classes"], scores["confusion"], strict=True):
        total = sum(counts)
        cells = [
            {
                "count": count,
                "share": count / total if total else None,
                "colours": colours(count / total if total else 0.0),
                "link": f"{true}-{predicted}" if count and predicted != true else None,
            }
            for predicted, count in zip(scores["classes"], counts, strict=True)
        ]
        rows.append({"name": true, "total": total, "cells": cells})
    return rows


def _mistakes(predictions: Predictions) -> list[dict[str, Any]]:
    """The confused pairs with their most confident images for the page."""
    groups = []
    for pair in evaluate.confusions(predictions):
        shown = pair.indexes[: figures.SHEET_COLUMNS]
        folder, names = figures.folder_and_names([predictions.paths[index] for index in shown])
        images = [
            {
                "name": name,
                "path": predictions.paths[index],
                "source": _uri(_thumbnail(predictions.images[index])),
                "probability": float(predictions.confidence[index]),
                "of_true": float(predictions.probabilities[index, pair.true]),
            }
            for index, name in zip(shown, names, strict=True)
        ]
        true, predicted = (predictions.classes[i] for i in (pair.true, pair.predicted))
        groups.append(
            {
                "link": f"{true}-{predicted}",
                "true": true,
                "predicted": predicted,
                "title": figures.pair_title(pair, predictions),
                "count": figures.pair_count(pair, predictions, len(shown)),
                "folder": folder,
                "images": images,
            }
        )
    return groups


@functools.cache
def _template() -> jinja2.Template:
    text = (
        importlib.resources.files("faceemo.analysis").joinpath("report.html.j2").read_text("utf-8")
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    environment.filters["fact"] = _fact
    environment.filters["words"] = lambda key: str(key).replace("_", " ")
    return environment.from_string(text)


def _number(value: Any, form: str = ",") -> str:
    """`value` in the given form; a dash for what is missing or not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float) and form == ",":
        return f"{value:.4g}"
    return format(value, form)


def _fact(value: Any, name: str) -> str:
    """`value` as the table of the run shows it; counts of parameters get thousands separators."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int) and name.startswith("params"):
        return f"{value:,}"
    if isinstance(value, int):  # a seed is a name, not a quantity
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(_fact(part, name) for part in value)
    return _number(value) if isinstance(value, float) else str(value)


def _thumbnail(image: np.ndarray) -> bytes:
    picture = Image.fromarray(image)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
