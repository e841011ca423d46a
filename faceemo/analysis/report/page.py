"""The page of a report: one HTML file with everything inside, for any screen and for print."""

from collections.abc import Mapping, Sequence
from typing import Any

from faceemo.analysis.predictions import Predictions
from faceemo.analysis.report import failures, figures
from faceemo.analysis.theme import template
from faceemo.analysis.theme.matrix import matrix_cells


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
        scores: of `predictions.compute_scores`.
        curves: (name, PNG for light screens and print, PNG for dark screens) of learning curves.
        history: a row per epoch, see `report.write`.
        summary: about the run; mappings inside it become tables of their own.
        slices: of `faceemo.analysis.slices.scores`.
        calibration: of `faceemo.analysis.calibration.before_and_after`.
        diagram: PNGs of the reliability diagram, for light screens and for dark ones.
        known: of the images, for the gallery.
    """
    return template.render(
        "analysis/report/report.html.j2",
        title=title,
        split=split,
        drawn=drawn,
        scores=scores,
        classes=predictions.classes,
        matrix=matrix_cells(predictions.classes, scores["confusion"], failures.link),
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
