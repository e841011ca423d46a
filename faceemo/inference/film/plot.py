"""The plot of a film's summary: which emotion each face shows at which time."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from faceemo import staging
from faceemo.analysis.theme import palette, style
from faceemo.inference.film.summary import FilmRecord, Track

_THEME = palette.LIGHT
# Okabe and Ito's colours, and one that is darker than all of them.
_COLOURS = (
    *("#e69f00", "#56b4e9", "#0072b2", "#d55e00"),
    *("#009e73", "#cc79a7", "#5b1e4b", "#f0e442"),
)
_UNSURE = "#b8bcc0"
_MAX_PARTS = 160  # of the film, each of which is a step
_MAX_TRACKS = 12  # faces that are shown, those that are seen longest


def write_plot(record: FilmRecord, tracks: Sequence[Track], name: str, path: Path) -> None:
    """Draws the plot, see `draw_plot`, and writes it as PNG."""
    with style.use_theme(_THEME), staging.file(path) as partial:
        style.save(draw_plot(record, tracks, name), partial)


def draw_plot(record: FilmRecord, tracks: Sequence[Track], name: str) -> Figure:
    """Draws a row for each face, over the time of the film.

    Args:
        record: The predictions for the film.
        tracks: The faces.
        name: The name of the film.
    """
    shown = sorted(tracks, key=lambda one: -one.seconds)[:_MAX_TRACKS]
    shown.sort(key=lambda one: one.number)
    colours = _choose_colours(len(record.classes))
    left_out = len(tracks) - len(shown)
    figure = style.make_figure(
        7.6,
        1.5 + 0.62 * max(1, len(shown)),
        _THEME,
        f"Faces of {name}",
        "Share of each emotion over time; grey is unsure, empty where the face is not seen."
        + (f" {left_out} faces that are seen for less time are left out." if left_out else ""),
    )
    end = max(record.end, 1e-3)
    edges = np.linspace(0, end, min(_MAX_PARTS, max(1, record.frames)) + 1)
    rows = figure.subplots(max(1, len(shown)), 1, sharex=True, squeeze=False)[:, 0]
    for axes in rows:
        axes.set(xlim=(0, end), ylim=(0, 1), yticks=[])
        axes.spines["left"].set_visible(False)
    rows[-1].set_xlabel("seconds")
    for axes, track in zip(rows, shown, strict=False):
        shares = record.compute_shares(track.number, edges)
        floor = np.zeros(len(shares))
        for column, colour in zip(shares.T, colours, strict=True):
            axes.stairs(floor + column, edges, baseline=floor, fill=True, color=colour, lw=0)
            floor = floor + column
        best = max(track.shares, key=track.shares.__getitem__)
        axes.set_ylabel(
            f"{track.number}: {style.replace_unprintable(best)}\n{track.shares[best]:.0%} of "
            f"{track.seconds:.1f} s",
            rotation=0, ha="right", va="center", color=_THEME.ink,
        )  # fmt: skip
    if not shown:
        rows[0].text(0.5, 0.5, "no face is seen", transform=rows[0].transAxes, ha="center")
    figure.legend(
        handles=[
            Patch(color=colour, label=style.replace_unprintable(label))
            for label, colour in zip(record.classes, colours, strict=True)
        ],
        loc="outside lower center", ncols=min(9, len(colours)), frameon=False,
        handlelength=1, columnspacing=1.2,
    )  # fmt: skip
    return figure


def _choose_colours(count: int) -> list[str]:
    """Returns a colour for each class, and that of what is unsure."""
    many = matplotlib.colormaps["tab20"]
    colours = (
        _COLOURS if count - 1 <= len(_COLOURS) else [to_hex(many(place)) for place in range(many.N)]
    )
    return [*(colours[place % len(colours)] for place in range(count - 1)), _UNSURE]
