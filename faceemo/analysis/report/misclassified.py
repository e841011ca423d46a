"""Draws misclassified images: those of each confused pair of classes, and the worst of all."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from faceemo.analysis.predictions import (
    ConfusedPair,
    Predictions,
    cross_entropies,
    find_confused_pairs,
)
from faceemo.analysis.theme import palette, style
from faceemo.analysis.theme.text import shorten, split_common_folder

COLUMNS = 8  # images in a row, and images shown per confused pair
WORST = 24  # images shown of all that are misclassified
_CELL, _SIDE, _LEFT, _TOP = 0.92, 0.84, 0.1, 0.75  # inches


def draw_misclassified(
    predictions: Predictions, *, subtitle: str = "", theme: palette.Theme = palette.LIGHT
) -> Figure:
    """Draws a row per confused pair with its most confident mistakes.

    Below each image stand the probability of the predicted class and the file name.

    Args:
        predictions: Predictions on one split.
        subtitle: Model and images.
        theme: Colours.
    """
    pairs = find_confused_pairs(predictions)
    caption, title = 0.36, 0.42  # inches
    block = _CELL + caption + title
    height = _TOP + max(len(pairs), 1) * block
    with style.use_theme(theme):
        figure = _make_figure(height, theme, subtitle)
        if not pairs:
            _write(figure, "No image was misclassified.", _LEFT, _TOP + 0.2)
        for row, pair in enumerate(pairs):
            y = _TOP + row * block
            shown = pair.indexes[:COLUMNS]
            folder, names = split_common_folder([predictions.names[index] for index in shown])
            _write(figure, _pair_title(pair, predictions), _LEFT, y, weight="bold")
            about = f"{_pair_count(pair, predictions, len(shown))}{'; ' if folder else ''}{folder}"
            _write(figure, shorten(about, 120), _LEFT, y + 0.17, fontsize=7, color=theme.muted)
            for column, (index, name) in enumerate(zip(shown, names, strict=True)):
                x = _LEFT + column * _CELL
                _show_face(figure, predictions.images[index], x, y + title)
                below = y + title + _SIDE
                probability = f"{predictions.confidence[index]:.3f}"
                _write(figure, probability, x, below + 0.05, fontsize=7, weight="bold")
                _write(figure, shorten(name, 16), x, below + 0.17, fontsize=6, color=theme.muted)
    return figure


def draw_worst(
    predictions: Predictions, *, subtitle: str = "", theme: palette.Theme = palette.LIGHT
) -> Figure:
    """Draws up to `WORST` misclassified images, the greatest loss first.

    Below each image stand the predicted class with its probability, and the true class.

    Args:
        predictions: Predictions on one split.
        subtitle: Model and images.
        theme: Colours.
    """
    mistakes = np.flatnonzero(predictions.predicted != predictions.labels)
    order = np.argsort(-cross_entropies(predictions)[mistakes], kind="stable")
    shown = mistakes[order][:WORST]
    block = _CELL + 0.36  # inches
    rows = -(-max(len(shown), 1) // COLUMNS)
    kind = "the greatest loss first" if len(shown) == len(mistakes) else "those of greatest loss"
    count = f"{len(shown)} of {len(mistakes):,} misclassified, {kind}" if len(shown) else ""
    subtitle = "; ".join(filter(None, (subtitle, count)))
    with style.use_theme(theme):
        figure = _make_figure(_TOP + rows * block, theme, subtitle)
        if not len(shown):
            _write(figure, "No image was misclassified.", _LEFT, _TOP + 0.2)
        for place, index in enumerate(shown.tolist()):
            x, y = _LEFT + place % COLUMNS * _CELL, _TOP + place // COLUMNS * block
            _show_face(figure, predictions.images[index], x, y)
            predicted = shorten(predictions.classes[predictions.predicted[index]], 10)
            true = shorten(predictions.classes[predictions.labels[index]], 11)
            below = y + _SIDE
            words = f"{predicted} {predictions.confidence[index]:.2f}"
            _write(figure, words, x, below + 0.05, fontsize=7, weight="bold")
            _write(figure, f"true: {true}", x, below + 0.17, fontsize=7, color=theme.muted)
    return figure


def _make_figure(height: float, theme: palette.Theme, subtitle: str) -> Figure:
    """Makes a figure as wide as a row of images; height in inches."""
    width = COLUMNS * _CELL + 0.12
    figure = style.make_figure(width, height, theme, "Misclassified images", subtitle, grid=False)
    # One for all images: making and drawing axes for each takes several times as long.
    figure.add_axes((0, 0, 1, 1)).set_axis_off()
    return figure


def _write(figure: Figure, text: str, x: float, y: float, **properties: Any) -> None:
    """Writes text whose top left corner is `x` and `y` inches from that of the figure."""
    width, height = figure.get_size_inches()
    printable = style.replace_unprintable(text)
    figure.text(x / width, 1 - y / height, printable, va="top", **properties)


def _show_face(figure: Figure, image: np.ndarray, x: float, y: float) -> None:
    """Shows an image whose top left corner is `x` and `y` inches from that of the figure."""
    extent = (x, x + _SIDE, y + _SIDE, y)
    figure.axes[0].imshow(
        image, cmap="gray", vmin=0, vmax=255, interpolation="bicubic", extent=extent, aspect="auto"
    )
    _measure_in_inches(figure)  # imshow has changed the limits


def _measure_in_inches(figure: Figure) -> None:
    """Gives the axes that hold all images the figure's size in inches, from its top left corner."""
    width, height = figure.get_size_inches()
    figure.axes[0].set(xlim=(0, width), ylim=(height, 0))


def _pair_title(pair: ConfusedPair, predictions: Predictions) -> str:
    """Returns a title such as 'sad taken for neutral'."""
    return f"{predictions.classes[pair.true]} taken for {predictions.classes[pair.predicted]}"


def _pair_count(pair: ConfusedPair, predictions: Predictions, shown: int) -> str:
    """Returns text such as '34 of 1,105 sad images (3.1%), the 8 most confident'."""
    support = int((predictions.labels == pair.true).sum())
    count = pair.indexes.size
    label = predictions.classes[pair.true]
    text = f"{count:,} of {support:,} {label} images ({count / support:.1%})"
    return f"{text}, the {shown} most confident" if shown < count else text
