"""A page of images and text, drawn with matplotlib (no window, no global state)."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from faceemo import staging
from faceemo.data.prepare import glyphs
from faceemo.errors import escape_name

# Okabe and Ito's colours, which can be told apart with any colour vision.
BLUE, VERMILION, ORANGE, PURPLE = "#0072B2", "#D55E00", "#E69F00", "#CC79A7"
GREEN, SKY = "#009E73", "#56B4E9"
INK, GREY, PALE = "#222222", "#6b6b6b", "#f1f1ee"
DPI = 150


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a PNG, with all characters of its texts (see `glyphs.complete_fonts`)."""
    glyphs.complete_fonts(figure)
    with staging.file(path) as partial:
        figure.savefig(partial)


class Sheet:
    """A page of images and text, in units of one image's width; y points down."""

    _MARGIN, _HEAD = 0.35, 1.0
    _INCHES = 0.92  # per unit

    def __init__(self, title: str, subtitle: str, width: float, height: float):
        total = (width + 2 * self._MARGIN, height + self._HEAD + 2 * self._MARGIN)
        size = (total[0] * self._INCHES, total[1] * self._INCHES)
        self._figure = Figure(figsize=size, dpi=DPI)
        self._axes: Axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_xlim(-self._MARGIN, width + self._MARGIN)
        self._axes.set_ylim(height + self._MARGIN, -self._HEAD - self._MARGIN)
        self._axes.axis("off")
        self.add_text(0, -self._HEAD + 0.15, title, size=16, color=INK, weight="bold")
        self.add_text(0, -self._HEAD + 0.5, subtitle, size=10)

    def add_text(self, x: float, y: float, text: str, size: float = 9, color: str = GREY, **style):
        """Writes `text`, whose first baseline starts at (x, y)."""
        # matplotlib crashes at names that are not UTF-8, and would set a pair of '$' as a formula
        self._axes.text(x, y, escape_name(text), size=size, color=color, parse_math=False, **style)

    def add_panel(self, x: float, y: float, width: float, height: float) -> None:
        """Draws a pale background behind a group of images."""
        style = "round,pad=0,rounding_size=0.08"
        patch = FancyBboxPatch((x, y), width, height, style, facecolor=PALE, edgecolor="none")
        self._axes.add_patch(patch)

    def add_image(
        self,
        pixels: np.ndarray,
        x: float,
        y: float,
        box: tuple[float, float, float, float] | None = None,
        colour: str = INK,
    ) -> None:
        """Fits pixels [H, W, 3] into the unit square at (x, y) and draws `box`, in pixels."""
        height, width = pixels.shape[:2]
        scale = 1 / max(height, width)
        right, bottom = x + width * scale, y + height * scale
        self._axes.imshow(
            pixels, extent=(x, right, bottom, y), interpolation="antialiased", zorder=2
        )
        self._axes.set_aspect("auto")
        if box:
            # the detector's box may reach beyond the image; the frame does not
            left, end = np.clip((box[0], box[2]), 0, width) * scale + x
            top, low = np.clip((box[1], box[3]), 0, height) * scale + y
            frame = (left, top), end - left, low - top
            self._axes.add_patch(
                Rectangle(*frame, fill=False, zorder=3, edgecolor=colour, linewidth=1.6)
            )

    def save(self, path: Path) -> None:
        """Writes the PNG."""
        save_figure(self._figure, path)
