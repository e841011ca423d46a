"""Draws the confusion matrix."""

from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from faceemo.analysis.predictions import headline
from faceemo.analysis.theme import palette, style


def draw_confusion_matrix(
    scores: dict[str, Any], *, subtitle: str = "", theme: palette.Theme = palette.LIGHT
) -> Figure:
    """Draws the confusion matrix: a count in each cell, and below it its share of the row.

    Args:
        scores: Scores of the split (`predictions.compute_scores`).
        subtitle: Model and images.
        theme: Colours.
    """
    counts = np.array(scores["confusion"])
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    colormap, classes = style.make_colormap(theme), scores["classes"]
    # large enough for the numbers in a cell, whatever the number of classes
    side = max(4.6, 1.4 + 0.8 * len(classes))
    with style.use_theme(theme):
        figure = style.make_figure(
            side, side, theme, "Confusion matrix", headline(scores, subtitle)
        )
        axes = figure.subplots()
        axes.imshow(shares, cmap=colormap, vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            colour = palette.text_colour_on(to_hex(colormap(float(shares[row, column]))))
            share = f"{shares[row, column]:.1%}" if totals[row, 0] else "–"
            for text, height, size in ((f"{counts[row, column]:,}", -0.1, 11), (share, 0.2, 8)):
                axes.text(
                    column,
                    row + height,
                    text,
                    ha="center",
                    va="center",
                    color=colour,
                    fontsize=size,
                )
        ticks = range(len(classes))
        axes.set_xticks(ticks, classes)
        axes.set_yticks(
            ticks,
            [f"{name}\n{total:,}" for name, total in zip(classes, totals[:, 0], strict=True)],
        )
        axes.tick_params(length=0, labelcolor=theme.ink)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("predicted")
        axes.set_ylabel("true, with number of images")
        axes.spines[:].set_visible(False)
        # lines in the colour of the paper, between the cells
        axes.set_xticks(np.arange(len(classes) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(classes) - 1) + 0.5, minor=True)
        axes.grid(which="minor", color=theme.paper, linewidth=2)
        axes.tick_params(which="minor", length=0, top=False)
    return figure
