"""Uncertainty of measured proportions."""

import math
from statistics import NormalDist


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
