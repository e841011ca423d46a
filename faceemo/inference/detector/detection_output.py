"""The boxes of faces in the raw outputs of the detector's graph.

This is what Caffe's layers PriorBox, Softmax and DetectionOutput do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

_FACE = 1  # the class; 0 is the background


def find_boxes(
    locations: Sequence[np.ndarray],
    confidences: Sequence[np.ndarray],
    size: tuple[int, int],
    about: Mapping[str, Any],
    above: float = 0.0,
) -> np.ndarray:
    """Finds the boxes in the outputs for a batch of images.

    A box is suppressed by surer ones alone, so that a limit on the confidence changes no box
    above it.

    Args:
        locations: For each map, float32 [N, h, w, 4 k], by the graph's `locations_i`.
        confidences: For each map, float32 [N, h, w, 2 k].
        size: Width and height of the images, pixels.
        about: The description of the layers, by `res10_graph.make_graph`.
        above: Boxes must have a confidence above it, 0..1.

    Returns:
        float32 [M, (image, class, confidence, left, top, right, bottom)], for each image the surest
        first; edges are shares of the image.
    """
    limit = max(above, about["at_least"])
    images, scores, boxes = [], [], []
    for kind, moves, raw in zip(about["maps"], locations, confidences, strict=True):
        pairs = raw.reshape(*raw.shape[:3], -1, 2)
        # the softmax of two
        shares = 1 / (1 + np.exp(pairs[..., 0] - pairs[..., 1]))
        image, row, column, number = np.nonzero(shares > limit)
        images.append(image)
        scores.append(shares[image, row, column, number])
        moves = moves.reshape(*moves.shape[:3], -1, 4)[image, row, column, number]
        boxes.append(_decode(kind, np.stack([column, row], 1), number, moves, size))
    image, score, box = (np.concatenate(one) for one in (images, scores, boxes))
    found = [np.zeros((0, 7), np.float32)]
    for index in np.unique(image):
        (own,) = np.nonzero(image == index)
        low, high = np.hsplit(box[own].astype(np.float64), 2)
        sized, sure = np.hstack([low, high - low]).tolist(), score[own].tolist()
        kept = cv2.dnn.NMSBoxes(sized, sure, limit, about["nms_iou"], top_k=about["before_nms"])
        own = own[np.asarray(kept, int)][: about["after_nms"]]
        labels = np.full((len(own), 2), (index, _FACE))
        found.append(np.hstack([labels, score[own, None], box[own]]).astype(np.float32))
    return np.concatenate(found)


def _decode(
    kind: Mapping[str, Any],
    place: np.ndarray,
    number: np.ndarray,
    moves: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """Moves default boxes of one map.

    Args:
        kind: The description of the map.
        place: Column and row, [M, 2].
        number: The number of the default box at the place, [M].
        moves: What the network says of each, [M, 4].
        size: Width and height of the images, pixels.

    Returns:
        Edges as shares of the image, [M, (left, top, right, bottom)].
    """
    sides = np.asarray(kind["sizes"], np.float32)[number] / size
    centre = (place + kind["offset"]) * kind["step"] / size
    moves = moves * np.asarray(kind["variance"], np.float32)
    centre = centre + moves[:, :2] * sides
    half = np.exp(moves[:, 2:]) * sides / 2
    return np.hstack([centre - half, centre + half])
