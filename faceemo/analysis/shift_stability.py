"""How much predictions change when a crop moves by a few pixels, as a detector's box does."""

from collections.abc import Callable
from typing import Any

import numpy as np


def shift_images(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Moves the content of images; the pixels of the edges are repeated where it came from.

    Args:
        images: uint8 [N, H, W, ...].
        down: Pixels by which the content moves down, negative for up.
        right: Pixels by which it moves to the right, negative for left.

    Returns:
        Images of the same shape and dtype.
    """
    height, width = images.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return images[:, rows][:, :, columns]


def measure(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, pixels: int
) -> dict[str, Any]:
    """Compares the predictions on images with those on copies moved in the eight directions.

    Args:
        predict: Maps images uint8 [N, S, S] or [N, S, S, 3] to probabilities [N, C].
        images: uint8 [N, S, S] or [N, S, S, 3].
        pixels: Pixels by which copies move, along both axes where the direction is diagonal.

    Returns:
        images; pixels; change_mean, change_95 and change_max: the mean, the 95th percentile and the
        maximum over images of the largest change, among the eight copies, of the probability of the
        class that is predicted where nothing moves (0..1); other_class: share of the images of
        which some copy is predicted as another class.
    """
    still = predict(images)
    places, predicted = np.arange(len(images)), still.argmax(axis=1)
    change, other = np.zeros(len(images)), np.zeros(len(images), bool)
    steps = (-pixels, 0, pixels)
    for down, right in ((down, right) for down in steps for right in steps if down or right):
        moved = predict(shift_images(images, down, right))
        gap = np.abs(moved[places, predicted].astype(np.float64) - still[places, predicted])
        change = np.maximum(change, gap)
        other |= moved.argmax(axis=1) != predicted
    return {
        "images": len(images),
        "pixels": pixels,
        "change_mean": float(change.mean()),
        "change_95": float(np.quantile(change, 0.95)),
        "change_max": float(change.max()),
        "other_class": float(other.mean()),
    }
