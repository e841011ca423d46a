"""Computes the geometry of a page's charts: distributions and bars, as shares of their width.

The page draws them with SVG and CSS, so that they follow its theme and width and their text stays
text.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import ndimage

BINS = 120
_LEAST_SMOOTHING = 1.3  # least standard deviation of the kernel, bins


@dataclasses.dataclass(frozen=True)
class Scale:
    """A horizontal axis.

    Attributes:
        low: Value at the left end; smaller values are drawn there.
        high: Value at the right end; larger values are drawn there.
        ticks: Values with a label.
        form: Format specification of the labels.
        transform: Increasing function; the axis is linear in its result.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    form: str = "g"
    transform: Callable[[np.ndarray], np.ndarray] = np.asarray

    def place(self, values: np.ndarray | float) -> np.ndarray:
        """Returns the positions of `values`, 0 (left end) to 100 (right end)."""
        low, high = self.transform(np.array([self.low, self.high]))
        transformed = self.transform(np.clip(values, self.low, self.high))
        return 100 * (transformed - low) / (high - low)

    def marks(self) -> list[tuple[float, str]]:
        """Returns (position, label) of each tick."""
        places = self.place(np.array(self.ticks))
        return [
            (float(place), format(tick, self.form).removeprefix("0") or "0")
            if 0 < abs(tick) < 1
            else (float(place), format(tick, self.form))
            for place, tick in zip(places, self.ticks, strict=True)
        ]


def log_odds(values: np.ndarray) -> np.ndarray:
    """Returns the log odds of values in (0, 1): a `Scale.transform` that spreads both ends."""
    return np.log(values / (1 - np.asarray(values)))


@dataclasses.dataclass(frozen=True)
class Ridge:
    """One class's distribution, drawn in a box of BINS x 100.

    Attributes:
        name: Name of the class.
        count: Number of values.
        points: Points of an SVG polyline along the density.
        median: Median; None without values.
        median_place: Position of the median, 0 to 100.
    """

    name: str
    count: int
    points: str
    median: float | None
    median_place: float


def make_ridges(values: Mapping[str, np.ndarray], scale: Scale) -> tuple[list[Ridge], str]:
    """Computes the distributions of several classes at one scale.

    All have the same area, so that shapes can be compared whatever the counts; the highest point of
    any is at the top of its box. The fewer values a class has, the more its distribution is
    smoothed, so that chance does not look like structure. NaN values are left out.

    Args:
        values: Maps a class to its values, float [n].
        scale: The axis.

    Returns:
        The classes' distributions, and the points of all values together.
    """
    finite = {name: array[np.isfinite(array)] for name, array in values.items()}
    together = np.concatenate([*finite.values(), np.empty(0)])
    spread = _robust_deviation(scale.place(together))
    densities = {name: _density(array, scale, spread) for name, array in finite.items()}
    overall = _density(together, scale, spread)
    top = max(1e-9, *(density.max() for density in densities.values()), overall.max())
    rows = []
    for name, array in finite.items():
        median = float(np.median(array)) if array.size else None
        place = 0.0 if median is None else float(scale.place(median))
        rows.append(Ridge(name, array.size, _points(densities[name] / top), median, place))
    return rows, _points(overall / top)


def _density(values: np.ndarray, scale: Scale, spread: float) -> np.ndarray:
    """Computes smoothed shares of the values per bin, float64 [BINS].

    The kernel's width follows Silverman's rule (1986), 0.9 * spread * n ** -0.2.

    Args:
        values: Finite values, float [n].
        scale: The axis.
        spread: Standard deviation of the positions of all classes' values, 0 to 100: a class of few
            images cannot tell its own.
    """
    counts, _ = np.histogram(scale.place(values), bins=BINS, range=(0, 100))
    count = max(values.size, 1)
    width = max(0.9 * spread * count**-0.2 * BINS / 100, _LEAST_SMOOTHING)
    # reflected at the ends; otherwise density that is smoothed over an end would be lost
    return ndimage.gaussian_filter1d(counts / count, width, mode="reflect")


def _robust_deviation(places: np.ndarray) -> float:
    """Returns a standard deviation that outliers hardly change; 0 if there are no values.

    It is the smaller one of the values' own and that of a normal distribution with their quartiles,
    unless the quartiles coincide.
    """
    if not places.size:
        return 0.0
    low, high = np.quantile(places, [0.25, 0.75])
    return float(min(places.std(), (high - low) / 1.349) if high > low else places.std())


def _points(heights: np.ndarray) -> str:
    """Returns an SVG polyline of `heights`, 0..1, in a box of BINS x 100; y points down."""
    points = [(0.0, heights[0]), *((i + 0.5, h) for i, h in enumerate(heights))]
    points.append((float(BINS), heights[-1]))
    return " ".join(f"{x:g},{100 * (1 - h):.1f}" for x, h in points)


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of a stacked bar.

    Attributes:
        width: Share of the available width, 0 to 100.
        colour: Colour in CSS.
        words: Label with the number.
    """

    width: float
    colour: str
    words: str


def make_stack(
    counts: Mapping[str, int], total: int, widest: float, styles: Mapping[str, tuple[str, str]]
) -> list[Piece]:
    """Makes a stacked bar of `counts` as shares of `total`, leaving out empty parts.

    Args:
        counts: Maps a key to a number.
        total: Number that the shares refer to.
        widest: Share that takes the full width.
        styles: Maps a key to (colour, words), in the order of the parts.
    """
    return [
        Piece(100 * counts[key] / (total * widest), colour, f"{words} {counts[key]:,}")
        for key, (colour, words) in styles.items()
        if counts.get(key)
    ]


def round_up(shares: Sequence[float]) -> float:
    """Returns a round share above 0, no smaller than any of `shares`, for the end of an axis."""
    largest = max(0.001, *shares)
    unit = 10 ** math.floor(math.log10(largest))
    return next(step * unit for step in (1, 2, 3, 5, 10) if step * unit >= largest * 0.9999)
