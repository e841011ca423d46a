"""Overlap of boxes against counted pixels, and suppression of several boxes of one face."""

import numpy as np
import pytest

from faceemo.data.measure.boxes import Detection, box_iou, suppress_overlaps


def test_iou_counts_pixels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        low = rng.integers(0, 10, (2, 2))
        boxes = np.concatenate([low, low + rng.integers(1, 10, (2, 2))], axis=1)
        masks = np.zeros((2, 20, 20), bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
            mask[top:bottom, left:right] = True
        expected = masks.all(0).sum() / masks.any(0).sum()
        assert box_iou(*map(tuple, boxes.tolist())) == pytest.approx(expected)


def test_the_most_confident_box_of_each_face_is_kept():
    whole, shifted, mouth = (0, 0, 100, 100), (10, 10, 110, 110), (30, 60, 70, 90)
    beside = (150, 0, 250, 100)
    found = [
        Detection(confidence, box, 300)
        for confidence, box in ((0.7, whole), (0.9, shifted), (0.95, beside), (0.6, mouth))
    ]
    assert suppress_overlaps(found) == [found[2], found[1]]
