"""The pictures of one run: learning curves, confusion matrix, scores per class, mistakes.

Every function returns a matplotlib `Figure` that `style.save` writes. `subtitle` says which model
and which images a picture is about.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from faceemo.analysis.predictions import Confusion, Predictions, confusions, headline
from faceemo.analysis.theme import style

SHEET_COLUMNS = 8  # images shown per confused pair


def best_epoch(history: Sequence[dict[str, float]]) -> int | None:
    """The epoch of the best validation accuracy, the first of equals; None without any."""
    rated = [row for row in history if math.isfinite(row.get("validation/accuracy", math.nan))]
    return int(max(rated, key=lambda row: row["validation/accuracy"])["epoch"]) if rated else None


def learning_curve(
    history: Sequence[dict[str, float]],
    measure: str,
    *,
    subtitle: str = "",
    baseline: float | None = None,
    theme: style.Theme = style.LIGHT,
) -> Figure:
    """One measure per epoch, for training and validation, the best epoch marked.

    Args:
        history: a row per epoch with 'epoch', 'train/MEASURE', 'validation/MEASURE' and
            'validation/accuracy', by which the best epoch is known; a missing value is a gap.
        measure: 'accuracy' or 'loss'.
        subtitle: what was trained.
        baseline: accuracy of always answering the most frequent class, drawn as a line.
        theme: colours.
    """
    epochs = [row["epoch"] for row in history]
    series = {
        split: [row.get(f"{split}/{measure}", math.nan) for row in history]
        for split in ("validation", "train")
    }
    best = best_epoch(history)
    with style.applied(theme):
        figure = style.figure(4.6, 3.3, theme, f"{measure.capitalize()} per epoch", subtitle)
        axes = figure.subplots()
        axes.grid(axis="y")
        colours = {"validation": theme.first, "train": theme.second}
        of_words = {"validation": theme.first, "train": theme.second_text}
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
                labels.append((last, f"{split} {last:.3f}", of_words[split]))
        if best is not None:
            axes.axvline(best, color=theme.first, linewidth=0.7, alpha=0.6, zorder=1)
            at_best = series["validation"][epochs.index(best)]
            axes.annotate(
                f"best: epoch {best}, {measure} {at_best:.3f}",
                xy=(best, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha=_towards_middle(best, epochs),
                va="bottom",
                fontsize=8,
                color=theme.first,
            )
            axes.plot(
                best,
                at_best,
                "o",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=theme.first,
                markeredgewidth=1.2,
                zorder=4,
            )
        low, high = _limits(
            [*series["validation"], *series["train"], *(height for height, _, _ in labels)]
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


def confusion_matrix(
    scores: dict[str, Any], *, subtitle: str = "", theme: style.Theme = style.LIGHT
) -> Figure:
    """Counts, and below each the share of its row: what became of each class's images.

    Args:
        scores: of `predictions.compute_scores`.
        subtitle: which model on which images.
        theme: colours.
    """
    counts = np.array(scores["confusion"])
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    shades, classes = style.shades(theme), scores["classes"]
    # a cell holds its numbers at any number of classes
    side = max(4.6, 1.4 + 0.8 * len(classes))
    with style.applied(theme):
        figure = style.figure(side, side, theme, "Confusion matrix", headline(scores, subtitle))
        axes = figure.subplots()
        axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            colour = style.readable_on(shades(float(shares[row, column])))
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
        # Lines of paper between the cells.
        axes.set_xticks(np.arange(len(classes) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(classes) - 1) + 0.5, minor=True)
        axes.grid(which="minor", color=theme.paper, linewidth=2)
        axes.tick_params(which="minor", length=0, top=False)
    return figure


def classification_report(
    scores: dict[str, Any], *, subtitle: str = "", theme: style.Theme = style.LIGHT
) -> Figure:
    """Precision, recall and F1 of each class as bars with their numbers.

    Args:
        scores: of `predictions.compute_scores`.
        subtitle: which model on which images.
        theme: colours.
    """
    measures = ("precision", "recall", "f1")
    subtitle = headline(scores, subtitle)
    classes = scores["classes"]
    with style.applied(theme):
        figure = style.figure(6.4, 1.2 + 0.35 * len(classes), theme, "Scores per class", subtitle)
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


def misclassified(
    predictions: Predictions, *, subtitle: str = "", theme: style.Theme = style.LIGHT
) -> Figure:
    """A row per confused pair with its most confident mistakes, each with probability and file.

    Args:
        predictions: of one split.
        subtitle: which model on which images.
        theme: colours.
    """
    pairs = confusions(predictions)
    cell, caption, title, top = 0.92, 0.36, 0.42, 0.75  # inches
    block = cell + caption + title
    width = SHEET_COLUMNS * cell + 0.12
    height = top + max(len(pairs), 1) * block
    with style.applied(theme):
        figure = style.figure(width, height, theme, "Misclassified images", subtitle, grid=False)

        def write(text: str, x: float, y: float, **look) -> None:
            figure.text(x / width, 1 - y / height, style.printable(text), va="top", **look)

        if not pairs:
            write("No image was misclassified.", 0.1, top + 0.2)
        for row, pair in enumerate(pairs):
            y = top + row * block
            shown = pair.indexes[:SHEET_COLUMNS]
            folder, names = folder_and_names([predictions.paths[index] for index in shown])
            write(pair_title(pair, predictions), 0.1, y, weight="bold")
            about = f"{pair_count(pair, predictions, len(shown))}{'; ' if folder else ''}{folder}"
            write(style.shortened(about, 120), 0.1, y + 0.17, fontsize=7, color=theme.muted)
            for column, (index, name) in enumerate(zip(shown, names, strict=True)):
                x = 0.1 + column * cell
                side = cell - 0.08
                axes = figure.add_axes(
                    (x / width, 1 - (y + title + side) / height, side / width, side / height)
                )
                axes.imshow(
                    predictions.images[index],
                    cmap="gray",
                    vmin=0,
                    vmax=255,
                    interpolation="bicubic",
                )
                axes.set_axis_off()
                write(
                    f"{predictions.confidence[index]:.3f}",
                    x,
                    y + title + side + 0.05,
                    fontsize=7,
                    weight="bold",
                )
                write(
                    style.shortened(name, 16),
                    x,
                    y + title + side + 0.17,
                    fontsize=6,
                    color=theme.muted,
                )
    return figure


def pair_title(pair: Confusion, predictions: Predictions) -> str:
    """'sad taken for neutral'."""
    return f"{predictions.classes[pair.true]} taken for {predictions.classes[pair.predicted]}"


def pair_count(pair: Confusion, predictions: Predictions, shown: int) -> str:
    """'34 of 1,105 sad images (3.1%), the 8 most confident'."""
    support = int((predictions.labels == pair.true).sum())
    count = pair.indexes.size
    label = predictions.classes[pair.true]
    text = f"{count:,} of {support:,} {label} images ({count / support:.1%})"
    return f"{text}, the {shown} most confident" if shown < count else text


def folder_and_names(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Splits paths into the folder that they share ('' if none) and what follows it."""
    parents = {path.rpartition("/")[0] for path in paths}
    folder = parents.pop() if len(parents) == 1 else ""
    return folder, [path[len(folder) + 1 :] if folder else path for path in paths]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """The range of the finite `values` with a margin."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    margin = 0.08 * (max(finite) - min(finite)) or 0.05
    return min(finite) - margin, max(finite) + margin


def _towards_middle(epoch: float, epochs: Sequence[float]) -> str:
    """Which side of a label stands at `epoch`, so that it stays over the plot."""
    share = (epoch - epochs[0]) / max(epochs[-1] - epochs[0], 1)
    return "left" if share < 0.33 else "right" if share > 0.66 else "center"
