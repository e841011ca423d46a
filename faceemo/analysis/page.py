"""The page of a report: one HTML file with everything inside, for any screen and for print."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.colors import to_hex

from faceemo.analysis import failures, figures, style, template
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
    known: failures.Known,
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
        known: of the images, for the gallery.
    """
    return template.render(
        "report.html.j2",
        title=title,
        split=split,
        drawn=drawn,
        scores=scores,
        classes=predictions.classes,
        matrix=matrix(predictions.classes, scores["confusion"], failures.link),
        curves=[(name, template.uri(light), template.uri(dark)) for name, light, dark in curves],
        history=history,
        best_epoch=figures.best_epoch(history),
        cells=failures.cells(predictions, known),
        slices=slices,
        heated=known.heat is not None,
        calibration=calibration,
        diagram=[template.uri(png) for png in diagram],
        facts=[(key, value) for key, value in summary.items() if not isinstance(value, Mapping)],
        tables=[(key, value) for key, value in summary.items() if isinstance(value, Mapping)],
    )


def matrix(
    classes: Sequence[str],
    table: Sequence[Sequence[int]],
    link: Callable[[int, int], str | None],
) -> list[dict[str, Any]]:
    """A table of counts as rows of cells for a page.

    Args:
        classes: C names.
        table: [C][C] counts.
        link: what a cell that is not 0 leads to, by row and column; None for nothing.
    """
    themes = {"light": style.LIGHT, "dark": style.DARK}

    def colours(share: float) -> dict[str, tuple[str, str]]:
        """Background and text of a cell on either kind of screen."""
        backs = {name: to_hex(style.shades(theme)(share)) for name, theme in themes.items()}
        return {name: (back, style.readable_on(back)) for name, back in backs.items()}

    rows = []
    for row, (true, counts) in enumerate(zip(classes, table, strict=True)):
        total = sum(counts)
        cells = [
            {
                "count": count,
                "share": count / total if total else None,
                "colours": colours(count / total if total else 0.0),
                "link": link(row, column) if count else None,
            }
            for column, count in enumerate(counts)
        ]
        rows.append({"name": true, "total": total, "cells": cells})
    return rows
