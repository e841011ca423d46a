"""Draws precision, recall and F1 of each class."""

from typing import Any

from matplotlib.figure import Figure

from faceemo.analysis.predictions import headline
from faceemo.analysis.theme import palette, style


def draw_class_scores(
    scores: dict[str, Any], *, subtitle: str = "", theme: palette.Theme = palette.LIGHT
) -> Figure:
    """Draws precision, recall and F1 of each class as bars with their numbers.

    Args:
        scores: Scores of the split (`predictions.compute_scores`).
        subtitle: Model and images.
        theme: Colours.
    """
    measures = ("precision", "recall", "f1")
    subtitle = headline(scores, subtitle)
    classes = scores["classes"]
    with style.use_theme(theme):
        figure = style.make_figure(
            6.4, 1.2 + 0.35 * len(classes), theme, "Scores per class", subtitle
        )
        panels = figure.subplots(1, len(measures), sharey=True)
        rows = range(len(classes))
        for panel, measure in zip(panels, measures, strict=True):
            values = [scores["per_class"][name][measure] for name in classes]
            panel.barh(rows, [1.0] * len(classes), height=0.5, color=theme.faint)
            panel.barh(rows, values, height=0.5, color=theme.first)
            for row, value in zip(rows, values, strict=True):
                panel.text(1.04, row, f"{value:.3f}", va="center_baseline")
            panel.set_xlim(0, 1.3)
            panel.set_xticks([])
            panel.set_title({"f1": "F1"}.get(measure, measure), loc="left", fontsize=8.5)
            panel.spines[:].set_visible(False)
        panels[0].set_yticks(
            rows, [f"{name} ({scores['per_class'][name]['support']:,})" for name in classes]
        )
        panels[0].tick_params(labelcolor=theme.ink)
        panels[0].invert_yaxis()
    return figure
