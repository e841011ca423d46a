"""The reliability diagram: how often a model is right where it says how sure it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from faceemo.analysis.predictions import headline
from faceemo.analysis.theme import style

_WORDS = {"before": "as trained", "after": "at temperature {:.2f}"}


def reliability_diagram(
    calibration: Mapping[str, Any],
    scores: Mapping[str, Any],
    *,
    subtitle: str = "",
    theme: style.Theme = style.LIGHT,
) -> Figure:
    """Accuracy over confidence, with intervals, and below how many images have which confidence.

    Args:
        calibration: of `calibration.before_and_after`.
        scores: of `predictions.compute_scores`, for the headline and the majority baseline.
        subtitle: which model on which images.
        theme: colours.
    """
    panels = [name for name in _WORDS if name in calibration]
    with style.applied(theme):
        figure = style.figure(
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
            words = _WORDS[name].format(calibration.get("temperature", 1))
            upper.set_title(f"{words}, ECE {measured['ece']:.3f}", loc="left", fontsize=8.5)
            _diagonal(upper, measured["bins"], scores["majority_baseline"], theme)
            _counts(lower, measured["bins"], theme)
        grid[0, 0].set_ylabel("accuracy")
        grid[1, 0].set_ylabel("images")
    return figure


def _diagonal(
    axes: Any, bins: Sequence[Mapping[str, Any]], baseline: float, theme: style.Theme
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


def _counts(axes: Any, bins: Sequence[Mapping[str, Any]], theme: style.Theme) -> None:
    axes.bar(
        [row["low"] for row in bins],
        [row["images"] for row in bins],
        [row["high"] - row["low"] for row in bins],
        align="edge",
        color=theme.first,
        edgecolor=theme.paper,
        linewidth=0.6,
    )
    axes.set_xlabel("confidence: probability of the answer")
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=3)
