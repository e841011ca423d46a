"""Searches a large photograph for small faces, tile by tile, as faceemo does.

The network finds few faces that are less than 24 pixels high in its input. What it finds in a tile
is a candidate; a second look at the candidate alone, enlarged, decides.
"""

import math
from typing import Any

import cv2
import numpy as np
from boxes import iou


def search_tiles(detector: Any, image: np.ndarray, known: list) -> list:
    """Finds the faces that are missing from `known`, as pairs of confidence and box.

    Args:
        detector: A `find_faces.Detector`.
        image: uint8 [H, W, BGR].
        known: The faces that were found already.
    """
    about, photo = detector.about["tiles"], detector.about["photograph"]
    longer, shorter = max(image.shape[:2]), min(image.shape[:2])
    shrunk = longer > photo["square"]
    searched = min(1.0, photo["longer_side"] / longer) if shrunk else photo["square"] / longer
    scale, found = about["smallest_in_tile"] / about["min_face"], []
    while scale > searched and shorter * scale >= about["smallest_in_tile"] / 2:
        boxes = _find_candidates(detector, image, scale, about)
        boxes = [box for box in boxes if not any(detector.is_same(box, one) for _, one in known)]
        found += [one for box in boxes for one in _look_again(detector, image, box, about)]
        scale /= about["ratio"]
    return [
        one
        for one in detector.suppress(found)
        if not any(detector.is_same(one[1], other) for _, other in known)
    ]


def _find_candidates(detector: Any, image: np.ndarray, scale: float, about: dict) -> list:
    high, wide = image.shape[:2]
    width, height = (math.ceil(x * scale / about["step"]) * about["step"] for x in (wide, high))
    shrunk = cv2.resize(image, (width, height), interpolation=_filter(width, wide))
    (lefts, tile_width), (tops, tile_height) = _split(width, about), _split(height, about)
    limit, found = min(about["candidate"], detector.threshold), []
    for top, left in ((top, left) for top in tops for left in lefts):
        tile = shrunk[top : top + tile_height, left : left + tile_width]
        in_tile = sorted(
            (
                (confidence, _move(box, (left, top), (wide / width, high / height)))
                for confidence, box in detector.forward(tile, (tile_width, tile_height))
                if confidence > limit and box[2] > box[0] and box[3] > box[1]
            ),
            reverse=True,
        )
        in_tile = [one for one in in_tile if _may_be_face(one[1], min(wide, high), about)]
        sure = sum(confidence > about["sure"] for confidence, _ in in_tile)
        found += in_tile[: sure + about["max_unsure"]]
    sizes = [(box[0], box[1], box[2] - box[0], box[3] - box[1]) for _, box in found]
    kept = cv2.dnn.NMSBoxes(sizes, [one[0] for one in found], limit, about["nms_iou"])
    return [found[int(index)][1] for index in kept]


def _look_again(detector: Any, image: np.ndarray, candidate: tuple, about: dict) -> list:
    left, top, right, bottom = candidate
    extent = max(1, round(about["context"] * max(right - left, bottom - top)))
    left, top = round((left + right - extent) / 2), round((top + bottom - extent) / 2)
    rows = np.clip(np.arange(top, top + extent), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + extent), 0, image.shape[1] - 1)
    side = detector.about["photograph"]["square"]
    look = cv2.resize(
        image[np.ix_(rows, columns)], (side, side), interpolation=_filter(side, extent)
    )
    scale = extent / side
    found = [
        (confidence, _move(box, (left / scale, top / scale), (scale, scale)))
        for confidence, box in detector.forward(look, (side, side))
        if confidence > max(detector.threshold, about["confirmed"])
        and box[2] > box[0]
        and box[3] > box[1]
    ]
    found = [one for one in found if iou(one[1], candidate) > about["same_iou"]]
    return [max(found, key=lambda one: one[0])] if found else []


def _split(length: int, about: dict) -> tuple[list[int], int]:
    overlap, step = about["overlap"], about["step"]
    count = max(1, math.ceil((length - overlap) / (about["max_tile"] - overlap)))
    tile = math.ceil(((length - overlap) / count + overlap) / step) * step
    return [round(index * (length - tile) / max(1, count - 1)) for index in range(count)], tile


def _may_be_face(box: tuple, shorter: int, about: dict) -> bool:
    low, high = sorted((box[2] - box[0], box[3] - box[1]))
    return high <= min(about["max_aspect"] * low, about["max_extent"] * shorter)


def _move(box: tuple, offset: tuple, scale: tuple) -> tuple:
    return tuple(round((x + offset[i % 2]) * scale[i % 2], 2) for i, x in enumerate(box))


def _filter(new: int, old: int) -> int:
    return cv2.INTER_AREA if new < old else cv2.INTER_LINEAR
