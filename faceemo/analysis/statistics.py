"""Confidence intervals and tests: scores on a sample of images, over seeds, and of two models."""

import dataclasses
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

EXACT_BELOW = 25  # images on which two models differ: the usual limit of the approximation
_ROUNDING = 1e-12  # scores that differ by less are equal


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the Wilson score interval of a proportion, such as an accuracy.

    Unlike the normal approximation, it stays within [0, 1] and holds its coverage near 0 and 1 and
    at the 32 images per class of the test split.

    Args:
        successes: Number of successful trials, 0 to `total`.
        total: Number of trials, from 1.
        confidence: Share of such intervals that cover the true proportion, in (0, 1).

    Returns:
        The lower and the upper end, 0 <= lower <= successes / total <= upper <= 1.

    Raises:
        ValueError: If an argument is outside its range.

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
    # at 0 and at 1 an end coincides with the proportion; rounding must not push it past
    lower = 0.0 if successes == 0 else max(0.0, centre - half)
    upper = 1.0 if successes == total else min(1.0, centre + half)
    return lower, upper


def f1_interval(
    right: int, support: int, predicted: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns an interval of one class's F1.

    F1 is 2 J / (1 + J), where J is the share of correct predictions among the images that have the
    class as label or as prediction. Given the number of those images, J is a plain proportion: F1's
    interval is computed from its Wilson interval, and stays sensible if F1 is 0 or 1.

    Args:
        right: Number of images with the class as label and as prediction.
        support: Number of images with the class as label.
        predicted: Number of images with the class as prediction; not 0 together with `support`.
        confidence: See `wilson_interval`.

    Raises:
        ValueError: If an argument is outside its range.
    """
    low, high = wilson_interval(right, support + predicted - right, confidence)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def macro_f1(confusion: ArrayLike) -> np.ndarray:
    """Returns the mean F1 of the classes that occur as a label or as a prediction: float64 [...].

    As in scikit-learn, a class that is predicted but is never a label counts with an F1 of 0.

    Args:
        confusion: Counts [..., C, C], a row per label and a column per predicted class, not all 0.
    """
    cells = np.asarray(confusion)
    either = cells.sum(axis=-2) + cells.sum(axis=-1)
    f1 = 2 * np.diagonal(cells, axis1=-2, axis2=-1) / np.maximum(either, 1)
    return f1.sum(axis=-1) / (either > 0).sum(axis=-1)


def macro_f1_interval(
    confusion: ArrayLike, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of macro-F1 over resampled images.

    Drawing N images with replacement is the same as drawing from the cells of the confusion matrix,
    so the images themselves are not needed. If every prediction is correct, the interval is a
    point.

    Args:
        confusion: Counts [C, C], a row per label and a column per predicted class, not all 0.
        confidence: Share of the resamples that the interval covers.
        draws: Number of resamples.
        seed: Seed of the draws; the same seed gives the same interval.
    """
    cells = np.asarray(confusion)
    total, side = int(cells.sum()), len(cells)
    drawn = np.random.default_rng(seed).multinomial(total, cells.ravel() / total, draws)
    tail = (1 - confidence) / 2
    low, high = np.quantile(macro_f1(drawn.reshape(draws, side, side)), [tail, 1 - tail])
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class PairedCounts:
    """Counts of the images that both, one or neither of two models predict correctly.

    Attributes:
        both: Number of images that both models predict correctly.
        first: Number of images that only the first model predicts correctly.
        second: Number of images that only the second model predicts correctly.
        neither: Number of images that neither model predicts correctly.
    """

    both: int
    first: int
    second: int
    neither: int

    @property
    def images(self) -> int:
        """Number of images."""
        return self.both + self.first + self.second + self.neither

    def mcnemar(self) -> tuple[float, str]:
        """Tests equal accuracy by McNemar's test; returns the two-sided p value and the method.

        The test is exact (binomial) if the models differ on fewer than `EXACT_BELOW` images,
        otherwise chi-squared with continuity correction. Without a difference, p is 1.

        Source: Q. McNemar, Psychometrika 12 (1947) 153-157; A. L. Edwards, Psychometrika 13 (1948)
        185-187, for the correction.
        """
        from scipy import stats  # which takes a second

        apart = self.first + self.second
        if apart < EXACT_BELOW:
            p = stats.binomtest(self.first, apart).pvalue if apart else 1.0
            return float(p), "exact"
        squared = max(abs(self.first - self.second) - 1, 0) ** 2 / apart
        return float(stats.chi2.sf(squared, 1)), "chi-squared, continuity-corrected"

    def difference(self, confidence: float = 0.95) -> tuple[float, float, float]:
        """Returns the accuracy of the second minus that of the first, and its interval.

        Source: A. Agresti and Y. Min, Statistics in Medicine 24 (2005) 729-740: Wald's interval
        after half an image is added to each of the four counts.
        """
        images, first, second = self.images + 2, self.first + 0.5, self.second + 0.5
        centre = (second - first) / images
        spread = math.sqrt((first + second) / images - centre**2) / math.sqrt(images)
        half = NormalDist().inv_cdf((1 + confidence) / 2) * spread
        gap = (self.second - self.first) / self.images
        return gap, max(-1.0, centre - half), min(1.0, centre + half)


@dataclasses.dataclass(frozen=True)
class SeedSummary:
    """A score that was measured with several seeds.

    Attributes:
        seeds: Number of seeds, from 2.
        mean: Mean of the scores.
        deviation: Their standard deviation (n - 1).
        interval: Student's interval of the mean; None if all scores are equal, because equal
            scores do not show how much a score depends on the seed.
    """

    seeds: int
    mean: float
    deviation: float
    interval: tuple[float, float] | None

    def describe_interval(self) -> str:
        """Describes the interval of a score from 0 to 1 and the number of seeds behind it."""
        if self.interval is None:
            return f"no interval: {self.seeds} seeds gave the same value"
        low, high = max(0.0, self.interval[0]), min(1.0, self.interval[1])
        return f"95% t interval of {self.seeds} seeds {low:.3f} to {high:.3f}"


def summarize_seeds(values: Sequence[float], confidence: float = 0.95) -> SeedSummary:
    """Summarizes a score that was measured with several seeds.

    Args:
        values: One value per seed, two or more.
        confidence: See `wilson_interval`.

    Raises:
        ValueError: If there are fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"expected the values of two seeds or more; found {len(values)}")
    from scipy import stats  # which takes a second

    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    if np.ptp(values) <= _ROUNDING:
        return SeedSummary(len(values), mean, 0.0, None)
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * deviation / math.sqrt(len(values))
    return SeedSummary(len(values), mean, deviation, (mean - float(half), mean + float(half)))
