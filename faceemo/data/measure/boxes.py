"""Bounding boxes of faces and what follows from them alone; imports no OpenCV."""

import dataclasses
from collections.abc import Iterable

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels

SAME_FACE_IOU = 0.4  # two boxes that overlap more than this show one face
# Share of the smaller box that lies in the larger one; above it the smaller shows a part of a face.
PART_OF_FACE = 0.7


@dataclasses.dataclass(frozen=True)
class Detection:
    """One detection in an image."""

    confidence: float  # 0..1; 0 if the detector found nothing at all
    box: Box | None  # None if the detector found nothing at all
    side: int  # longer side of the detector's input, pixels


def scale_box(box: Box, factor: float) -> Box:
    """Returns the box in an image whose sides are `factor` times as long."""
    left, top, right, bottom = box
    return left * factor, top * factor, right * factor, bottom * factor


def suppress_overlaps(detections: Iterable[Detection]) -> list[Detection]:
    """Keeps the most confident detection of each face (non-maximum suppression).

    Args:
        detections: Detections with boxes that are not empty.

    Returns:
        The detections kept, most confident first.
    """
    kept: list[tuple[Detection, Box]] = []
    for detection in sorted(detections, key=lambda detection: -detection.confidence):
        box = detection.box
        assert box is not None  # only a best detection can lack one
        if not any(show_one_face(box, other) for _, other in kept):
            kept.append((detection, box))
    return [detection for detection, _ in kept]


def show_one_face(first: Box, second: Box) -> bool:
    """Returns whether two boxes that are not empty show one face, or a face and a part of it."""
    inside = _intersection(first, second) / min(_area(first), _area(second))
    return box_iou(first, second) > SAME_FACE_IOU or inside > PART_OF_FACE


def box_iou(first: Box, second: Box) -> float:
    """Computes the intersection over union, 0..1, of two boxes that are not empty."""
    intersection = _intersection(first, second)
    return intersection / (_area(first) + _area(second) - intersection)


def share_inside(first: Box, second: Box) -> float:
    """Computes the share, 0..1, of a box that is not empty that lies in another."""
    return _intersection(first, second) / _area(first)


def _intersection(first: Box, second: Box) -> float:
    """Computes the area that two boxes share, in square pixels."""
    (left, top), (right, bottom) = map(max, first[:2], second[:2]), map(min, first[2:], second[2:])
    return _area((left, top, right, bottom))


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
