"""Draws the most confident mistakes of each confused pair of classes."""

from matplotlib.figure import Figure

from faceemo.analysis.predictions import ConfusedPair, Predictions, find_confused_pairs
from faceemo.analysis.theme import palette, style
from faceemo.analysis.theme.text import shorten, split_common_folder

COLUMNS = 8  # images shown per confused pair


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
    cell, caption, title, top = 0.92, 0.36, 0.42, 0.75  # inches
    block = cell + caption + title
    width = COLUMNS * cell + 0.12
    height = top + max(len(pairs), 1) * block
    with style.use_theme(theme):
        figure = style.make_figure(
            width, height, theme, "Misclassified images", subtitle, grid=False
        )

        def write(text: str, x: float, y: float, **properties) -> None:
            figure.text(
                x / width, 1 - y / height, style.replace_unprintable(text), va="top", **properties
            )

        if not pairs:
            write("No image was misclassified.", 0.1, top + 0.2)
        for row, pair in enumerate(pairs):
            y = top + row * block
            shown = pair.indexes[:COLUMNS]
            folder, names = split_common_folder([predictions.paths[index] for index in shown])
            write(_pair_title(pair, predictions), 0.1, y, weight="bold")
            about = f"{_pair_count(pair, predictions, len(shown))}{'; ' if folder else ''}{folder}"
            write(shorten(about, 120), 0.1, y + 0.17, fontsize=7, color=theme.muted)
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
                    shorten(name, 16),
                    x,
                    y + title + side + 0.17,
                    fontsize=6,
                    color=theme.muted,
                )
    return figure


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
