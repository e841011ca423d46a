"""The geometry of a page's charts: distributions and bars, as shares of the room they get.

The page draws them with SVG and CSS in its own colours, so that they follow its light and dark
dress and its width, and their words stay words.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import ndimage

BINS = 120
_SMOOTHING = 1.3  # standard deviation of the kernel, bins


@dataclasses.dataclass(frozen=True)
class Scale:
    """A horizontal axis.

    Attributes:
        low: value at its left end; smaller ones are drawn there.
        high: value at its right end; larger ones are drawn there.
        ticks: values that it names.
        form: how it writes them, a format specification.
        bend: increasing function after which it is linear.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    form: str = "g"
    bend: Callable[[np.ndarray], np.ndarray] = np.asarray

    def place(self, values: np.ndarray | float) -> np.ndarray:
        """Where `values` lie, 0 (left end) to 100 (right end)."""
        low, high = self.bend(np.array([self.low, self.high]))
        bent = self.bend(np.clip(values, self.low, self.high))
        return 100 * (bent - low) / (high - low)

    def marks(self) -> list[tuple[float, str]]:
        """(place, words) of the ticks."""
        places = self.place(np.array(self.ticks))
        return [
            (float(place), format(tick, self.form).removeprefix("0") or "0")
            if 0 < abs(tick) < 1
            else (float(place), format(tick, self.form))
            for place, tick in zip(places, self.ticks, strict=True)
        ]


def log_odds(values: np.ndarray) -> np.ndarray:
    """For `Scale.bend`: spreads what crowds near 0 and near 1. Values within (0, 1)."""
    return np.log(values / (1 - np.asarray(values)))


@dataclasses.dataclass(frozen=True)
class Ridge:
    """One class's distribution, to be drawn in a box of BINS x 100.

    Attributes:
        name: of the class.
        count: how many values there are.
        points: of the density's edge, for an SVG polyline.
        median: the middle value; None without any.
        middle: its place, 0 to 100.
    """

    name: str
    count: int
    points: str
    median: float | None
    middle: float


def ridges(values: Mapping[str, np.ndarray], scale: Scale) -> tuple[list[Ridge], str]:
    """The distributions of several classes at one scale, and the edge of them all together.

    Each has the same area, so that shapes compare whatever the counts; the highest point of any is
    at the top of its box. Values that are NaN are left out.

    Args:
        values: class -> float [n].
        scale: of the axis.
    """
    finite = {name: array[np.isfinite(array)] for name, array in values.items()}
    together = np.concatenate([*finite.values(), np.empty(0)])
    densities = {name: _density(array, scale) for name, array in finite.items()}
    overall = _density(together, scale)
    top = max(1e-9, *(density.max() for density in densities.values()), overall.max())
    rows = []
    for name, array in finite.items():
        median = float(np.median(array)) if array.size else None
        middle = 0.0 if median is None else float(scale.place(median))
        rows.append(Ridge(name, array.size, _points(densities[name] / top), median, middle))
    return rows, _points(overall / top)


def _density(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Smoothed shares of the values per bin: float64 [BINS]."""
    counts, _ = np.histogram(scale.place(values), bins=BINS, range=(0, 100))
    shares = counts / max(values.size, 1)
    # reflected at the ends: what is smoothed over them would else be lost
    return ndimage.gaussian_filter1d(shares, _SMOOTHING, mode="reflect")


def _points(heights: np.ndarray) -> str:
    """Points of an SVG polyline for `heights`, 0 to 1, in a box of BINS x 100; y points down."""
    points = [(0.0, heights[0]), *((i + 0.5, h) for i, h in enumerate(heights))]
    points.append((float(BINS), heights[-1]))
    return " ".join(f"{x:g},{100 * (1 - h):.1f}" for x, h in points)


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of a stacked bar.

    Attributes:
        width: share of the room, 0 to 100.
        colour: in CSS.
        words: what it stands for, with its number.
    """

    width: float
    colour: str
    words: str


def stack(
    counts: Mapping[str, int], total: int, widest: float, looks: Mapping[str, tuple[str, str]]
) -> list[Piece]:
    """A stacked bar of `counts` as shares of `total`, empty parts left out.

    Args:
        counts: key -> number.
        total: what they are shares of.
        widest: the share that takes all the room.
        looks: key -> (colour, words), in the order of the parts.
    """
    return [
        Piece(100 * counts[key] / (total * widest), colour, f"{words} {counts[key]:,}")
        for key, (colour, words) in looks.items()
        if counts.get(key)
    ]


def ceiling(shares: Sequence[float]) -> float:
    """A round share no smaller than any of `shares`: where an axis may end; above 0."""
    largest = max(0.001, *shares)
    unit = 10 ** math.floor(math.log10(largest))
    return next(step * unit for step in (1, 2, 3, 5, 10) if step * unit >= largest * 0.9999)
