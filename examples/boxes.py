"""Boxes of faces: left, top, right and bottom, in pixels."""

Box = tuple[float, float, float, float]


def area(box: Box) -> float:
    """Computes the area of a box."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def shared_area(first: Box, second: Box) -> float:
    """Computes the area that two boxes share."""
    return area((*map(max, first[:2], second[:2]), *map(min, first[2:], second[2:])))


def iou(first: Box, second: Box) -> float:
    """Computes the intersection over union of two boxes."""
    shared = shared_area(first, second)
    return shared / (area(first) + area(second) - shared)
