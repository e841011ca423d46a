"""The boxes of faces in the raw outputs of the detector's graph.

This is what Caffe's layers Softmax and DetectionOutput do.
"""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from faceemo.inference.detector.default_boxes import DefaultBoxes

_FACE = 1  # the class; 0 is the background


def find_boxes(
    moves: np.ndarray,
    scores: np.ndarray,
    defaults: DefaultBoxes,
    about: Mapping[str, Any],
    above: float = 0.0,
) -> np.ndarray:
    """Finds the boxes in the outputs for a batch of images.

    A box is suppressed by surer ones alone, so that a limit on the confidence changes no box
    above it.

    Args:
        moves: What the network says of the default boxes, float32 [N, P, 4].
        scores: Those of the two classes, before softmax, float32 [N, P, 2].
        defaults: The default boxes.
        about: The description of the layer, by `res10_graph.make_graph`.
        above: Boxes must have a confidence above it, 0..1.

    Returns:
        float32 [M, (image, class, confidence, left, top, right, bottom)], for each image the surest
        first; edges are shares of the image.
    """
    limit = max(above, about["at_least"])
    confidences = 1 / (1 + np.exp(scores[..., 0] - scores[..., 1]))  # the softmax of two
    images, places = np.nonzero(confidences > limit)
    found: list[np.ndarray] = [np.zeros((0, 7), np.float32)]
    for image in np.unique(images):
        own = places[images == image]
        sure, boxes = confidences[image, own], defaults.move(own, moves[image, own])
        low, high = np.hsplit(boxes.astype(np.float64), 2)
        sized = np.concatenate([low, high - low], 1).tolist()
        kept = cv2.dnn.NMSBoxes(
            sized, sure.tolist(), limit, about["nms_iou"], top_k=about["before_nms"]
        )
        kept = np.asarray(kept, int)[: about["after_nms"]]
        rows = np.empty((len(kept), 7), np.float32)
        rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3:] = image, _FACE, sure[kept], boxes[kept]
        found.append(rows)
    return np.concatenate(found)
