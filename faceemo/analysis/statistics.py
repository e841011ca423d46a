"""Uncertainty of what is measured on a sample of images, of seeds, or of both models at once."""

import dataclasses
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

EXACT_BELOW = 25  # images that tell two models apart: the usual limit of the approximation


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion, e.g. of an accuracy.

    Unlike the normal approximation it stays within [0, 1] and holds its coverage near 0 and 1 and
    at the 32 images per class of the test split.

    Args:
        successes: how many of the trials succeeded, 0 to `total`.
        total: how many trials there were, from 1.
        confidence: share of such intervals that cover the true proportion, in (0, 1).

    Returns:
        The lower and the upper end, 0 <= lower <= successes / total <= upper <= 1.

    Raises:
        ValueError: if an argument is outside its range.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    if not (0 <= successes <= total and total >= 1 and 0 < confidence < 1):
        raise ValueError(
            f"expected 0 <= successes <= total, total >= 1 and 0 < confidence < 1; found "
            f"{successes} of {total} at {confidence}"
        )
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / total
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    # Rounding must not push an end past the proportion at 0 and at 1, where they coincide.
    lower = 0.0 if successes == 0 else max(0.0, centre - half)
    upper = 1.0 if successes == total else min(1.0, centre + half)
    return lower, upper


def f1_interval(
    right: int, support: int, answered: int, confidence: float = 0.95
) -> tuple[float, float]:
    """An interval of one class's F1.

    F1 is 2 J / (1 + J), where J is the share of right answers among the images that have the class
    as label or as answer. Given how many those are, J is a plain proportion: its Wilson interval is
    carried over, which stays sensible where F1 is 0 or 1.

    Args:
        right: images that have the class as label and as answer.
        support: images that have it as label.
        answered: images that have it as answer; there must be one of either.
        confidence: as of `wilson_interval`.

    Raises:
        ValueError: as `wilson_interval`.
    """
    low, high = wilson_interval(right, support + answered - right, confidence)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def macro_f1(confusion: ArrayLike) -> np.ndarray:
    """The mean F1 of the classes that occur, as a label or as an answer: float64 [...].

    Scikit-learn's rule: a class that is answered but never is the label counts, with an F1 of 0.

    Args:
        confusion: [..., C, C] counts, a row per label and a column per answer, not all 0.
    """
    cells = np.asarray(confusion)
    either = cells.sum(axis=-2) + cells.sum(axis=-1)
    f1 = 2 * np.diagonal(cells, axis1=-2, axis2=-1) / np.maximum(either, 1)
    return f1.sum(axis=-1) / (either > 0).sum(axis=-1)


def macro_f1_interval(
    confusion: ArrayLike, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of macro-F1 over resampled images.

    To draw N images with replacement is to draw from the cells of the confusion matrix, so that
    the images themselves are not needed. Where not one image is wrong, the interval is a point.

    Args:
        confusion: [C, C] counts, a row per label and a column per answer, not all 0.
        confidence: share of the resamples that the interval covers.
        draws: number of resamples.
        seed: of the draws; the same gives the same interval.
    """
    cells = np.asarray(confusion)
    total, side = int(cells.sum()), len(cells)
    drawn = np.random.default_rng(seed).multinomial(total, cells.ravel() / total, draws)
    tail = (1 - confidence) / 2
    low, high = np.quantile(macro_f1(drawn.reshape(draws, side, side)), [tail, 1 - tail])
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class Paired:
    """Two models on the same images.

    Attributes:
        both: images that both answer rightly.
        first: images that only the first does.
        second: images that only the second does.
        neither: images that neither does.
    """

    both: int
    first: int
    second: int
    neither: int

    @property
    def images(self) -> int:
        """How many images there are."""
        return self.both + self.first + self.second + self.neither

    def mcnemar(self) -> tuple[float, str]:
        """McNemar's test of equal accuracy: the two-sided p value, and which form of the test.

        Exact (binomial) where fewer than `EXACT_BELOW` images tell the models apart, else
        chi-squared with the continuity correction; 1 where none does.

        Source: Q. McNemar, Psychometrika 12 (1947) 153-157; A. L. Edwards, Psychometrika 13 (1948)
        185-187, for the correction.
        """
        apart = self.first + self.second
        if apart < EXACT_BELOW:
            p = stats.binomtest(self.first, apart).pvalue if apart else 1.0
            return float(p), "exact"
        squared = max(abs(self.first - self.second) - 1, 0) ** 2 / apart
        return float(stats.chi2.sf(squared, 1)), "chi-squared, continuity-corrected"

    def difference(self, confidence: float = 0.95) -> tuple[float, float, float]:
        """Accuracy of the second less that of the first, and its interval.

        Source: A. Agresti and Y. Min, Statistics in Medicine 24 (2005) 729-740: Wald's interval
        after half an image is added to each of the four counts.
        """
        images, first, second = self.images + 2, self.first + 0.5, self.second + 0.5
        centre = (second - first) / images
        spread = math.sqrt((first + second) / images - centre**2) / math.sqrt(images)
        half = NormalDist().inv_cdf((1 + confidence) / 2) * spread
        gap = (self.second - self.first) / self.images
        return gap, max(-1.0, centre - half), min(1.0, centre + half)


def over_seeds(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float, tuple[float, float]]:
    """Mean, standard deviation (n - 1) and Student's interval of the mean, of a value per seed.

    Args:
        values: two or more.
        confidence: as of `wilson_interval`.

    Raises:
        ValueError: if there are fewer.
    """
    if len(values) < 2:
        raise ValueError(f"expected the values of two seeds or more; found {len(values)}")
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * deviation / math.sqrt(len(values))
    return mean, deviation, (mean - float(half), mean + float(half))
