"""The one look of every picture: colours, type, and how a figure is made and saved."""

import contextlib
import dataclasses
import functools
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import matplotlib
from matplotlib import font_manager, ft2font, patheffects
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import ImageFont

DPI = 200  # sharp on paper at the figures' own size, and on dense screens
_FONT = "DejaVu Sans"  # comes with matplotlib: pictures are the same everywhere


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours as hex strings; the hues are from Okabe and Ito's colour-blind-safe palette.

    `first`, `second` and `third` also differ in lightness, so that they stay apart in grey print.
    """

    paper: str
    ink: str
    muted: str  # axes, notes, baselines
    faint: str  # grids and bars' backgrounds
    first: str  # what the picture is about: the evaluated split
    second: str  # what it is compared with: training
    second_text: str  # the same for words, which need more contrast than lines
    third: str  # a further one beside them


LIGHT = Theme(
    paper="#ffffff",
    ink="#1a1a1a",
    muted="#5f6368",
    faint="#e4e6e8",
    first="#0072b2",
    second="#e08214",
    second_text="#a85a00",
    third="#5b1e4b",
)
DARK = Theme(
    paper="#16181b",
    ink="#e8e8e6",
    muted="#a0a4a8",
    faint="#33373b",
    first="#56b4e9",
    second="#ffd08a",
    second_text="#ffd08a",
    third="#a0558c",
)


@contextlib.contextmanager
def applied(theme: Theme) -> Iterator[None]:
    """Everything drawn inside has the theme's colours and the house's type."""
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


def figure(
    width: float, height: float, theme: Theme, title: str, subtitle: str = "", grid: bool = True
) -> Figure:
    """A figure with its heading at the top left and its own Agg canvas, unknown to pyplot.

    Args:
        width: inches.
        height: inches, with the heading.
        theme: colours.
        title: what the picture shows.
        subtitle: of which model and images; wrapped to the width.
        grid: whether subplots are laid out below the heading; False leaves places to the caller.
    """
    lines = textwrap.wrap(printable(subtitle), int(width * 14))
    below = (0.34 + 0.15 * len(lines)) / height
    layout = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - below)) if grid else None
    made = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(made)
    left = 0.1 / width
    made.text(left, 1 - 0.1 / height, printable(title), va="top", fontsize=10.5, weight="bold")
    made.text(left, 1 - 0.32 / height, "\n".join(lines), va="top", fontsize=8, color=theme.muted)
    return made


def save(drawn: Figure, target) -> None:
    """Writes `drawn` as PNG to `target`, a path or a binary file."""
    drawn.savefig(target, format="png", dpi=DPI)


def halo(theme: Theme, line: float) -> list[patheffects.AbstractPathEffect]:
    """For `path_effects`: a rim of paper, by which a line stands out from the bars it crosses.

    Args:
        theme: colours.
        line: its width, points.
    """
    return [patheffects.withStroke(linewidth=line + 2, foreground=theme.paper)]


def shades(theme: Theme) -> Colormap:
    """From the paper to the first colour: for shares from 0 to 1."""
    return LinearSegmentedColormap.from_list("share", [theme.paper, theme.first])


def readable_on(colour) -> str:
    """Black or white, whichever contrasts more with `colour` (WCAG's ratio, then at least 4.5)."""

    def luminance(shade) -> float:
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in to_rgb(shade)
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(other) -> float:
        low, high = sorted((luminance(colour), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    return max(("#000000", "#ffffff"), key=contrast)


def spread(positions: Iterable[float], gap: float) -> list[float]:
    """Moves labels' positions apart until neighbours are `gap` from each other, order kept.

    Each cluster of crowded labels stays centred on the mean of what it labels.
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


def letters(height: int) -> ImageFont.FreeTypeFont:
    """The house's type for drawing into photographs, with Pillow; height in pixels."""
    return ImageFont.truetype(font_manager.findfont(_FONT), height)


def printable(text: str) -> str:
    """`text` with what the font cannot draw replaced, so that no file name stops a picture."""
    known = _characters()
    return "".join(letter if ord(letter) in known else "\ufffd" for letter in text)


def shortened(text: str, length: int) -> str:
    """`text` with its middle cut out if it is longer than `length` characters."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


@functools.cache
def _characters() -> dict[int, int]:
    font = ft2font.FT2Font(font_manager.findfont(_FONT))
    return {code: glyph for code, glyph in font.get_charmap().items() if chr(code).isprintable()}
