"""The figures of a report. A new figure is a function and a row in `FIGURES`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from faceemo.analysis.report.class_scores import draw_class_scores
from faceemo.analysis.report.confusion_matrix import draw_confusion_matrix
from faceemo.analysis.report.learning_curve import draw_learning_curve
from faceemo.analysis.report.misclassified import draw_misclassified
from faceemo.analysis.report.reliability import draw_reliability_diagram
from faceemo.analysis.report.results import Results
from faceemo.analysis.theme import palette, style


class ReportFigure(NamedTuple):
    """A figure of the report.

    Attributes:
        draw: Draws the figure in a theme; returns None if the results lack the data for it.
        section: Id of the page's section that shows the figure, light or dark as the screen is;
            None if the page has the same content as a table or gallery.
        alt: Text for readers who cannot see the figure.
    """

    draw: Callable[[Results, palette.Theme], Figure | None]
    section: str | None = None
    alt: str = ""


class Drawing(NamedTuple):
    """A figure that has been drawn for one report.

    Attributes:
        name: Key in `FIGURES`.
        section: Section of the page that shows it, or None.
        alt: Text for readers who cannot see it.
        light: PNG for light screens and print, which is also written as NAME.png.
        dark: PNG for dark screens; empty if the page does not show the figure.
        width: Width in inches.
    """

    name: str
    section: str | None
    alt: str
    light: bytes
    dark: bytes
    width: float


def _draw_accuracy(results: Results, theme: palette.Theme) -> Figure | None:
    # The number of validation images is known to the report on validation alone.
    images = results.scores["images"] if results.split == "validation" else None
    baseline = results.validation_baseline
    return _draw_curve(results, "accuracy", theme, baseline=baseline, images=images)


def _draw_loss(results: Results, theme: palette.Theme) -> Figure | None:
    return _draw_curve(results, "loss", theme)


def _draw_curve(
    results: Results, measure: str, theme: palette.Theme, **options: Any
) -> Figure | None:
    if not results.history:
        return None
    return draw_learning_curve(
        results.history,
        measure,
        best_epoch=results.best_epoch,
        subtitle=results.training_subtitle,
        theme=theme,
        **options,
    )


def _draw_confusion_matrix(results: Results, theme: palette.Theme) -> Figure:
    return draw_confusion_matrix(results.scores, subtitle=results.subtitle, theme=theme)


def _draw_class_scores(results: Results, theme: palette.Theme) -> Figure:
    return draw_class_scores(results.scores, subtitle=results.subtitle, theme=theme)


def _draw_misclassified(results: Results, theme: palette.Theme) -> Figure:
    return draw_misclassified(results.calibrated, subtitle=results.subtitle, theme=theme)


def _draw_reliability(results: Results, theme: palette.Theme) -> Figure:
    return draw_reliability_diagram(
        results.calibration, results.scores, subtitle=results.subtitle, theme=theme
    )


_CURVE_ALT = "{} per epoch on training and validation; the numbers are in the table below"

# Each is written as NAME.png.
FIGURES = {
    "accuracy": ReportFigure(_draw_accuracy, "training", _CURVE_ALT.format("accuracy")),
    "loss": ReportFigure(_draw_loss, "training", _CURVE_ALT.format("loss")),
    "confusion_matrix": ReportFigure(_draw_confusion_matrix),
    "classification_report": ReportFigure(_draw_class_scores),
    "misclassified": ReportFigure(_draw_misclassified),
    "reliability": ReportFigure(
        _draw_reliability,
        "calibration",
        "reliability diagram: accuracy over confidence; its numbers are in the table below",
    ),
}


def draw_figures(results: Results) -> list[Drawing]:
    """Draws the figures that the results have data for, in the order of `FIGURES`."""
    drawings = []
    for name, row in FIGURES.items():
        light = row.draw(results, palette.LIGHT)
        if light is None:
            continue
        dark = row.draw(results, palette.DARK) if row.section else None
        drawings.append(
            Drawing(
                name,
                row.section,
                row.alt,
                style.encode_png(light),
                style.encode_png(dark) if dark else b"",
                float(light.get_figwidth()),
            )
        )
    return drawings
