"""Occlusion maps: how far a class's probability falls when a part of the image is covered."""

from collections.abc import Callable, Iterator

import numpy as np


def compute_occlusion_map(
    probabilities: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    chosen: int,
    *,
    patch: int,
    stride: int,
) -> np.ndarray:
    """Measures the fall of a class's probability while a patch slides over the image.

    The patch has the image's mean grey level or colour.

    Args:
        probabilities: Maps images uint8 [N, S, S] or [N, S, S, 3] to probabilities [N, C], each
            image separately.
        image: Image uint8 [S, S] or [S, S, 3].
        chosen: The class, 0 to C - 1.
        patch: Side of the patch, 1 to S pixels.
        stride: Distance between positions of the patch, 1 to `patch` pixels; the last positions
            are at the edge.

    Returns:
        float32 [S, S], -1..1: for each pixel, the probability without a patch minus the mean
        probability over the patches that cover the pixel. Negative values mean that covering the
        pixel raises the probability.

    Source: M. D. Zeiler and R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV
    2014, section 4.2.
    """
    corners = list(_list_corners(image.shape[0], patch, stride))
    covered = np.repeat(image[None], len(corners) + 1, axis=0)
    mean = np.rint(image.mean((0, 1))).astype(np.uint8)
    for copy, (top, left) in zip(covered[1:], corners, strict=True):
        copy[top : top + patch, left : left + patch] = mean
    whole, *rest = probabilities(covered)[:, chosen].astype(np.float64)
    total, count = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
    for (top, left), remaining in zip(corners, rest, strict=True):
        region = np.s_[top : top + patch, left : left + patch]
        total[region] += whole - remaining
        count[region] += 1
    return (total / count).astype(np.float32)


def _list_corners(side: int, patch: int, stride: int) -> Iterator[tuple[int, int]]:
    """Lists the top left corners of the patch."""
    starts = sorted({*range(0, side - patch, stride), side - patch})
    return ((top, left) for top in starts for left in starts)
