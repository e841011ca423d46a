"""Draws a learning-rate range test."""

import numpy as np
from matplotlib.figure import Figure

from faceemo.analysis.theme import palette, style


def draw_range_test(
    rates: np.ndarray,
    losses: np.ndarray,
    smoothed: np.ndarray,
    suggestion: float,
    *,
    subtitle: str = "",
    theme: palette.Theme = palette.LIGHT,
) -> Figure:
    """Draws the loss over the learning rate and marks the suggested rate.

    Args:
        rates: Learning rates [N], ascending; the axis is logarithmic.
        losses: Losses of single batches [N].
        smoothed: Moving average of `losses` [N].
        suggestion: One of the rates.
        subtitle: Model that was tested.
        theme: Colours.
    """
    with style.use_theme(theme):
        figure = style.make_figure(4.6, 3.3, theme, "Loss while the learning rate grows", subtitle)
        axes = figure.subplots()
        axes.grid(axis="y")
        axes.set_xscale("log")
        axes.plot(rates, losses, color=theme.second, linewidth=0.8, alpha=0.7, label="batch")
        axes.plot(rates, smoothed, color=theme.first, linewidth=1.8, label="smoothed")
        axes.axvline(suggestion, color=theme.ink, linewidth=0.8, linestyle=(0, (4, 3)))
        # the last losses diverge and would flatten the rest of the curve
        finite = smoothed[np.isfinite(smoothed)]
        low, high = float(finite.min()), float(finite[: max(len(finite) // 2, 1)].max())
        room = 0.35 * max(high - low, 0.05)
        axes.set_ylim(low - room, high + 2 * room)
        right = suggestion > np.sqrt(rates[0] * rates[-1])
        axes.annotate(
            f"steepest fall: {suggestion:.1e}",
            (suggestion, high + 2 * room),
            xytext=(-4 if right else 4, -4),
            textcoords="offset points",
            ha="right" if right else "left",
            va="top",
        )
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.legend(loc="lower left", frameon=False)
        return figure
