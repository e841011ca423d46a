"""The page of a report: one HTML file with everything inside, for any screen and for print."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.colors import to_hex

from faceemo.analysis import evaluate, figures, style, template
from faceemo.analysis.evaluate import Predictions


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
    slices: Sequence[Mapping[str, Any]],
    calibration: Mapping[str, Any],
    diagram: tuple[bytes, bytes],
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
        slices: of `faceemo.analysis.slices.scores`.
        calibration: of `faceemo.analysis.calibration.before_and_after`.
        diagram: PNGs of the reliability diagram, for light screens and for dark ones.
    """
    return template.render(
        "report.html.j2",
        title=title,
        split=split,
        drawn=drawn,
        scores=scores,
        classes=predictions.classes,
        matrix=matrix(predictions.classes, scores["confusion"]),
        curves=[(name, template.uri(light), template.uri(dark)) for name, light, dark in curves],
        history=history,
        best_epoch=figures.best_epoch(history),
        groups=_mistakes(predictions),
        slices=slices,
        calibration=calibration,
        diagram=[template.uri(png) for png in diagram],
        facts=[(key, value) for key, value in summary.items() if not isinstance(value, Mapping)],
        tables=[(key, value) for key, value in summary.items() if isinstance(value, Mapping)],
    )


def matrix(classes: Sequence[str], table: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """A table of counts as rows of cells for a page; those off the diagonal link to 'row-column'.

    Args:
        classes: C names.
        table: [C][C] counts.
    """
    themes = {"light": style.LIGHT, "dark": style.DARK}

    def colours(share: float) -> dict[str, tuple[str, str]]:
        """Background and text of a cell on either kind of screen."""
        backs = {name: to_hex(style.shades(theme)(share)) for name, theme in themes.items()}
        return {name: (back, style.readable_on(back)) for name, back in backs.items()}

    rows = []
    for true, counts in zip(classes, table, strict=True):
        total = sum(counts)
        cells = [
            {
                "count": count,
                "share": count / total if total else None,
                "colours": colours(count / total if total else 0.0),
                "link": f"{true}-{predicted}" if count and predicted != true else None,
            }
            for predicted, count in zip(classes, counts, strict=True)
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
                "source": template.face(predictions.images[index]),
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
