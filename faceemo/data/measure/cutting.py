"""Parts of images that may reach beyond them."""

import cv2
import numpy as np


def cut_out(image: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """Cuts out a box; pixels beyond the edge repeat the nearest.

    Args:
        image: uint8 [H, W] or [H, W, C].
        left: The box, pixels; it is not empty.
        top: See `left`.
        right: See `left`.
        bottom: See `left`.

    Returns:
        uint8 [bottom - top, right - left] or [bottom - top, right - left, C]. It may share the
        memory of the image.
    """
    height, width = image.shape[:2]
    rows, above, below = _split(top, bottom, height)
    columns, before, after = _split(left, right, width)
    inside = image[rows, columns]
    if not (above or below or before or after):
        return inside
    return cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE)


def _split(begin: int, end: int, length: int) -> tuple[slice, int, int]:
    """Returns the part of a range that is in 0..length, and how many pixels to repeat beside it.

    Of a range that lies outside the part is the pixel at the edge.
    """
    first = min(max(begin, 0), length - 1)
    last = max(min(end, length), first + 1)
    before = min(max(first - begin, 0), end - begin - (last - first))
    return slice(first, last), before, end - begin - (last - first) - before
