"""All the faces of a photograph, where screening asks only whether there is one."""

from collections.abc import Iterable

import cv2
import numpy as np

from faceemo.data.measure import face_detector
from faceemo.data.measure.face_detector import Box, Detection

# The longer side, in pixels, at which a photograph is seen a second time: faces from about a
# fortieth of it on are found, in a quarter of a second on one core.
_LONGER = 900
_STEP = 32  # pixels: sides are multiples, so that photographs of nearly one shape are one shape
_OVERLAP = 0.4  # intersection over union from which on two boxes are one face
_INSIDE = 0.7  # share of the smaller box that lies in the larger: a part of a face is none


class FaceSearch:
    """The res10 network, looking for every face at two sizes.

    At 300x300 pixels, what it was trained for, it sees the faces that fill a photograph; at its own
    proportions and up to 900 pixels the small ones. Not for several threads at once.

    Raises:
        UserError: if the network's files cannot be had.
    """

    def __init__(self):
        files = face_detector.network_files()
        # one for each size: OpenCV sets a network up anew whenever the size of its input changes
        self._whole = cv2.dnn.readNetFromCaffe(*files)
        self._detail = cv2.dnn.readNetFromCaffe(*files)

    def search(self, image: np.ndarray, above: float) -> list[Detection]:
        """The faces in uint8 [H, W, BGR] with a confidence above `above`, from left to right."""
        passes = [(self._whole, (face_detector.SIDE, face_detector.SIDE))]
        if max(image.shape[:2]) > face_detector.SIDE:
            passes.append((self._detail, _detail_size(image)))
        found = [
            Detection(confidence, box, max(size))
            for network, size in passes
            for _, confidence, box in face_detector.forward(network, [image], size)
            if confidence > above and box[2] > box[0] and box[3] > box[1]
        ]
        return sorted(distinct(found), key=_left)


def distinct(found: Iterable[Detection]) -> list[Detection]:
    """Non-maximum suppression: the more confident of those that show one face, best first."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda detection: -detection.confidence):
        if not any(_same(_box(one), _box(other)) for other in kept):
            kept.append(one)
    return kept


def _detail_size(image: np.ndarray) -> tuple[int, int]:
    """Width and height at which small faces are looked for."""
    height, width = image.shape[:2]
    scale = min(1.0, _LONGER / max(height, width))
    # nothing is left of an image of a few rows, and nothing needs to be
    wide, high = (max(_STEP, round(side * scale / _STEP) * _STEP) for side in (width, height))
    return wide, high


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of boxes that are not empty, 0..1."""
    shared = _shared(one, other)
    return shared / (_area(one) + _area(other) - shared)


def _same(one: Box, other: Box) -> bool:
    inside = _shared(one, other) / min(_area(one), _area(other))
    return overlap(one, other) > _OVERLAP or inside > _INSIDE


def _shared(one: Box, other: Box) -> float:
    """Pixels that are in both."""
    (left, top), (right, bottom) = map(max, one[:2], other[:2]), map(min, one[2:], other[2:])
    return _area((left, top, right, bottom))


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _box(detection: Detection) -> Box:
    assert detection.box is not None  # only a best detection can lack one
    return detection.box


def _left(detection: Detection) -> float:
    return _box(detection)[0]
