"""What in an image an answer rests on: how far its probability falls when a place is covered."""

from collections.abc import Callable, Iterator

import numpy as np


def fall(
    probabilities: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    chosen: int,
    *,
    patch: int,
    stride: int,
) -> np.ndarray:
    """Slides a patch of the image's mean grey over it.

    Args:
        probabilities: uint8 [N, S, S] -> [N, C], each image by itself.
        image: uint8 [S, S].
        chosen: the class, 0 to C - 1.
        patch: side of the patch, 1 to S pixels.
        stride: pixels between its places, 1 to `patch`; the last ones lie at the edge.

    Returns:
        float32 [S, S], -1..1: of each pixel, the mean over the patches that cover it of the
        probability without a patch less that with it. Negative where covering helps.

    Source: M. D. Zeiler and R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV
    2014, section 4.2.
    """
    places = list(_places(image.shape[0], patch, stride))
    covered = np.repeat(image[None], len(places) + 1, axis=0)
    grey = np.uint8(round(float(image.mean())))
    for one, (top, left) in zip(covered[1:], places, strict=True):
        one[top : top + patch, left : left + patch] = grey
    whole, *rest = probabilities(covered)[:, chosen].astype(np.float64)
    total, count = np.zeros(image.shape), np.zeros(image.shape)
    for (top, left), left_over in zip(places, rest, strict=True):
        under = np.s_[top : top + patch, left : left + patch]
        total[under] += whole - left_over
        count[under] += 1
    return (total / count).astype(np.float32)


def _places(side: int, patch: int, stride: int) -> Iterator[tuple[int, int]]:
    """Top left corners."""
    starts = sorted({*range(0, side - patch, stride), side - patch})
    return ((top, left) for top in starts for left in starts)
