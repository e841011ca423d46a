"""Draws the reliability diagram: accuracy over confidence."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from faceemo.analysis.predictions import headline
from faceemo.analysis.theme import palette, style

_PANEL_TITLES = {"before": "as trained", "after": "at temperature {:.2f}"}


def draw_reliability_diagram(
    calibration: Mapping[str, Any],
    scores: Mapping[str, Any],
    *,
    subtitle: str = "",
    theme: palette.Theme = palette.LIGHT,
) -> Figure:
    """Draws accuracy over confidence, with intervals, and below it the images per bin.

    Args:
        calibration: Calibration of the split (`calibration.measure_before_and_after`).
        scores: Scores of the split (`predictions.compute_scores`).
        subtitle: Model and images.
        theme: Colours.
    """
    panels = [name for name in _PANEL_TITLES if name in calibration]
    with style.use_theme(theme):
        figure = style.make_figure(
            0.4 + 2.9 * len(panels) + (1.4 if len(panels) == 1 else 0),
            4.2,
            theme,
            "Reliability",
            headline(scores, subtitle),
        )
        grid = figure.subplots(
            2, len(panels), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1)
        )
        for (upper, lower), name in zip(grid.T, panels, strict=True):
            measured = calibration[name]
            heading = _PANEL_TITLES[name].format(calibration.get("temperature", 1))
            upper.set_title(f"{heading}, ECE {measured['ece']:.3f}", loc="left", fontsize=8.5)
            _draw_accuracy(upper, measured["bins"], scores["majority_baseline"], theme)
            _draw_counts(lower, measured["bins"], theme)
        grid[0, 0].set_ylabel("accuracy")
        grid[1, 0].set_ylabel("images")
    return figure


def _draw_accuracy(
    axes: Any, bins: Sequence[Mapping[str, Any]], baseline: float, theme: palette.Theme
) -> None:
    axes.grid(True)
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1)
    axes.axhline(baseline, color=theme.muted, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "majority class",
        xy=(0, baseline),
        xytext=(3, 2),
        textcoords="offset points",
        fontsize=7,
        color=theme.muted,
    )
    x = [row["confidence"] for row in bins]
    y = [row["accuracy"] for row in bins]
    reach = [
        [row["accuracy"] - row["interval"][0] for row in bins],
        [row["interval"][1] - row["accuracy"] for row in bins],
    ]
    axes.errorbar(x, y, yerr=reach, fmt="o", color=theme.first, markersize=4, elinewidth=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def _draw_counts(axes: Any, bins: Sequence[Mapping[str, Any]], theme: palette.Theme) -> None:
    axes.bar(
        [row["low"] for row in bins],
        [row["images"] for row in bins],
        [row["high"] - row["low"] for row in bins],
        align="edge",
        color=theme.first,
        edgecolor=theme.paper,
        linewidth=0.6,
    )
    axes.set_xlabel("confidence: probability of the predicted class")
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=3)
