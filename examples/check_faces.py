"""Judges whether what was found is a face whose emotion can be told, as faceemo does."""

from typing import Any

import cv2
import numpy as np
from boxes import Box, iou


def find_doubt(
    detector: Any, image: np.ndarray, box: Box, region: Box, crop: np.ndarray
) -> str | None:
    """Returns why a face's emotion cannot be told, '' if it can, and None if there is no face.

    Args:
        detector: A `find_faces.Detector`.
        image: uint8 [H, W, BGR].
        box: The detector's box, pixels.
        region: The part of the image that the network gets, pixels.
        crop: What the network gets, uint8 [S, S] or [S, S, RGB].
    """
    about = detector.check
    high, wide = image.shape[:2]
    whole = tuple(region) == (0, 0, wide, high)
    place, context = (region, about["whole"]) if whole else (box, about["portrait"])
    look, near, turned = _look(detector, image, place, context, 0), 0.0, [0.0]
    if look < about["upright"]:
        turned = [_look(detector, image, place, context, quarters) for quarters in (1, 2, 3)]
        if look < about["clear"] and not whole:
            near = _look(detector, image, place, about["near"], 0)
    side = min(region[2] - region[0], region[3] - region[1])
    reasons = about["reasons"]
    if max(turned) >= max(about["clear"], look) and look < about["upright"]:
        return reasons["upside_down" if int(np.argmax(turned)) == 1 else "turned"]
    if max(look, near) < about["none"]:
        return None
    if side < about["min_side"]:
        return reasons["small"].format(side=side)
    if _sharpness(crop, about["sharpness_side"]) < about["min_sharpness"]:
        return reasons["blurred"]
    return "" if look >= about["clear"] else reasons["unclear"]


def _look(detector: Any, image: np.ndarray, box: Box, context: float, quarters: int) -> float:
    """Returns the detector's confidence that a place, turned by quarters, shows a face."""
    left, top, right, bottom = box
    about, side = detector.check, detector.check["side"]
    extent = max(1, round(context * max(right - left, bottom - top)))
    left, top = round((left + right - extent) / 2), round((top + bottom - extent) / 2)
    rows = np.clip(np.arange(top, top + extent), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + extent), 0, image.shape[1] - 1)
    filter_ = cv2.INTER_AREA if side < extent else cv2.INTER_LINEAR
    square = cv2.resize(image[np.ix_(rows, columns)], (side, side), interpolation=filter_)
    square = np.ascontiguousarray(np.rot90(square, quarters))
    least = about["same_iou"] if context > 1 else 0.0
    low, high = side / 2 * (1 - 1 / context), side / 2 * (1 + 1 / context)
    return max(
        (
            confidence
            for confidence, found in detector.forward(square, (side, side))
            if found[2] > found[0]
            and found[3] > found[1]
            and iou((low, low, high, high), found) > least
        ),
        default=0.0,
    )


def _sharpness(crop: np.ndarray, side: int) -> float:
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.ndim == 3 else crop
    if len(grey) > side:
        grey = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
    variance = float(grey.var())
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()) / variance if variance else 0.0
