"""Makes, styles and saves the matplotlib figures, all with the same fonts and layout."""

import contextlib
import functools
import io
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager, ft2font, patheffects
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import ImageFont

from faceemo.analysis.theme.palette import Theme
from faceemo.errors import escape_name

DPI = 200  # sharp in print at the figures' own size, and on dense screens
_FONT = "DejaVu Sans"  # comes with matplotlib, so that figures are the same on every machine


@contextlib.contextmanager
def use_theme(theme: Theme) -> Iterator[None]:
    """Applies the theme's colours and the project's font to everything drawn inside."""
    settings: dict[Any, Any] = {
        "font.family": _FONT,
        "font.size": 8.5,
        "text.color": theme.ink,
        "text.parse_math": False,  # a '$' in a path is a '$'
        "figure.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.muted,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "lines.linewidth": 1.8,
        "lines.solid_capstyle": "round",
    }
    with matplotlib.rc_context(settings):
        yield


def make_figure(
    width: float, height: float, theme: Theme, title: str, subtitle: str = "", grid: bool = True
) -> Figure:
    """Makes a figure with a heading at its top left and its own Agg canvas, unknown to pyplot.

    Args:
        width: Width in inches.
        height: Height in inches, including the heading.
        theme: Colours.
        title: Subject of the figure.
        subtitle: Model and images that the figure is about; wrapped to the width.
        grid: Whether subplots are laid out automatically below the heading; with False, the caller
            places them.
    """
    lines = textwrap.wrap(replace_unprintable(subtitle), int(width * 14))
    below = (0.34 + 0.15 * len(lines)) / height
    layout = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - below)) if grid else None
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    left = 0.1 / width
    figure.text(
        left, 1 - 0.1 / height, replace_unprintable(title), va="top", fontsize=10.5, weight="bold"
    )
    figure.text(left, 1 - 0.32 / height, "\n".join(lines), va="top", fontsize=8, color=theme.muted)
    return figure


def save(figure: Figure, target) -> None:
    """Writes `figure` as PNG to `target`, a path or a binary file."""
    figure.set_dpi(DPI)
    if (layout := figure.get_layout_engine()) is not None:
        # `savefig` would draw everything once for the layout alone.
        layout.execute(figure)
        figure.set_layout_engine("none")
    figure.savefig(target, format="png", dpi=DPI)


def encode_png(figure: Figure) -> bytes:
    """Returns `figure` as PNG."""
    buffer = io.BytesIO()
    save(figure, buffer)
    return buffer.getvalue()


def to_pixels(figure: Figure, dpi: float) -> np.ndarray:
    """Returns `figure` as pixels, uint8 [H, W, 3], at `dpi` pixels per inch."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def make_halo(theme: Theme, line: float) -> list[patheffects.AbstractPathEffect]:
    """Makes `path_effects` that set a line off from the bars it crosses by a rim of paper.

    Args:
        theme: Colours.
        line: Width of the line in points.
    """
    return [patheffects.withStroke(linewidth=line + 2, foreground=theme.paper)]


def make_colormap(theme: Theme) -> Colormap:
    """Makes a colormap for shares from 0 (the paper's colour) to 1 (the theme's first colour)."""
    return LinearSegmentedColormap.from_list("share", [theme.paper, theme.first])


def spread(positions: Iterable[float], gap: float) -> list[float]:
    """Moves labels' positions apart until neighbours are `gap` from each other.

    The order stays the same. Each cluster of crowded labels is centred on the mean of the positions
    it came from.
    """
    positions = list(positions)
    order = sorted(range(len(positions)), key=positions.__getitem__)
    # Clusters of (members, centre); two that overlap become one.
    clusters: list[tuple[list[int], float]] = []
    for index in order:
        clusters.append(([index], positions[index]))
        while len(clusters) > 1:
            (lower, below), (upper, above) = clusters[-2:]
            if above - below >= gap * (len(lower) + len(upper)) / 2:
                break
            members = lower + upper
            centre = sum(positions[member] for member in members) / len(members)
            clusters[-2:] = [(members, centre)]
    moved = [0.0] * len(positions)
    for members, centre in clusters:
        for rank, member in enumerate(members):
            moved[member] = centre + gap * (rank - (len(members) - 1) / 2)
    return moved


def load_font(height: int) -> ImageFont.FreeTypeFont:
    """Loads the figures' font for drawing into photographs with Pillow; height in pixels."""
    return ImageFont.truetype(font_manager.findfont(_FONT), height)


def replace_unprintable(text: str) -> str:
    """Escapes a name, and replaces characters that the font lacks by U+FFFD."""
    known = _supported_characters()
    return "".join(letter if ord(letter) in known else "\ufffd" for letter in escape_name(text))


@functools.cache
def _supported_characters() -> dict[int, int]:
    """Returns {code point: glyph} of the printable characters in the font."""
    font = ft2font.FT2Font(font_manager.findfont(_FONT))
    return {code: glyph for code, glyph in font.get_charmap().items() if chr(code).isprintable()}
