"""Draws the learning curve: accuracy or loss per epoch."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from faceemo.analysis.statistics import wilson_interval
from faceemo.analysis.theme import palette, style


def draw_learning_curve(
    history: Sequence[dict[str, float]],
    measure: str,
    *,
    best_epoch: int | None = None,
    subtitle: str = "",
    baseline: float | None = None,
    images: int | None = None,
    theme: palette.Theme = palette.LIGHT,
) -> Figure:
    """Draws one measure per epoch, for training and validation.

    Args:
        history: One row per epoch with 'epoch', 'train/MEASURE' and 'validation/MEASURE'; a missing
            value is a gap.
        measure: 'accuracy' or 'loss'.
        best_epoch: Number of the epoch to mark as the best.
        subtitle: Model that was trained.
        baseline: Accuracy of always predicting the most frequent class, drawn as a line.
        images: Number of validation images, where the 95% Wilson intervals of validation's accuracy
            are to be drawn: with few images, most of the curve's ups and downs are chance.
        theme: Colours.
    """
    if images:
        about = f"shaded: 95% interval of validation, {images:,} images"
        subtitle = f"{subtitle}; {about}" if subtitle else about
    epochs = [row["epoch"] for row in history]
    series = {
        split: [row.get(f"{split}/{measure}", math.nan) for row in history]
        for split in ("validation", "train")
    }
    with style.use_theme(theme):
        figure = style.make_figure(4.6, 3.3, theme, f"{measure.capitalize()} per epoch", subtitle)
        axes = figure.subplots()
        axes.grid(axis="y")
        colours = {"validation": theme.first, "train": theme.second}
        text_colours = {"validation": theme.first, "train": theme.second_text}
        labels = []  # (height, text, colour), written at the right end of each line
        if baseline is not None:
            axes.axhline(baseline, color=theme.muted, linewidth=1, linestyle=(0, (4, 3)))
            labels.append((baseline, f"majority class {baseline:.3f}", theme.muted))
        for split, values in series.items():
            marker = "o" if len(epochs) <= 30 else None
            hollow = theme.paper if split == "train" else colours[split]
            axes.plot(
                epochs,
                values,
                marker=marker,
                markersize=4,
                markerfacecolor=hollow,
                color=colours[split],
                zorder=3 if split == "validation" else 2,
            )
            last = next((value for value in reversed(values) if math.isfinite(value)), None)
            if last is not None:
                labels.append((last, f"{split} {last:.3f}", text_colours[split]))
        intervals = _intervals(series["validation"], images) if images else []
        if images:
            lower, upper = zip(*intervals, strict=True)
            # Lines, unlike a band, also show a single epoch.
            axes.vlines(epochs, lower, upper, color=theme.first, alpha=0.2, linewidth=5, zorder=1)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=theme.first, linewidth=0.7, alpha=0.6, zorder=1)
            at_best = series["validation"][epochs.index(best_epoch)]
            axes.annotate(
                f"best: epoch {best_epoch}, {measure} {at_best:.3f}",
                xy=(best_epoch, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha=_align_towards_middle(best_epoch, epochs),
                va="bottom",
                fontsize=8,
                color=theme.first,
            )
            axes.plot(
                best_epoch,
                at_best,
                "o",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=theme.first,
                markeredgewidth=1.2,
                zorder=4,
            )
        low, high = _limits(
            [
                *(value for values in (*series.values(), *intervals) for value in values),
                *(height for height, _, _ in labels),
            ]
        )
        if measure == "accuracy":
            low, high = max(low, 0.0), min(high, 1.0)
        axes.set_ylim(low, high)
        heights = style.spread([height for height, _, _ in labels], (high - low) * 0.075)
        for (_, text, colour), height in zip(labels, heights, strict=True):
            axes.annotate(
                text,
                xy=(1, height),
                xycoords=("axes fraction", "data"),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=colour,
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch")
        axes.spines["left"].set_visible(False)
    return figure


def _intervals(accuracies: Sequence[float], images: int) -> list[tuple[float, float]]:
    """Returns the 95% Wilson interval of each accuracy; (NaN, NaN) where it is missing."""
    return [
        wilson_interval(round(accuracy * images), images)
        if math.isfinite(accuracy)
        else (math.nan, math.nan)
        for accuracy in accuracies
    ]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Returns the range of the finite `values`, with a margin."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    margin = 0.08 * (max(finite) - min(finite)) or 0.05
    return min(finite) - margin, max(finite) + margin


def _align_towards_middle(epoch: float, epochs: Sequence[float]) -> str:
    """Returns the horizontal alignment that keeps a label at `epoch` over the plot."""
    share = (epoch - epochs[0]) / max(epochs[-1] - epochs[0], 1)
    return "left" if share < 0.33 else "right" if share > 0.66 else "center"
