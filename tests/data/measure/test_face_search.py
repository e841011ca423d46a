"""All faces of a picture: where they were put, each once."""

import numpy as np
import pytest

from faceemo.data.measure import face_detector, face_search
from faceemo.data.measure.face_detector import Detection
from tests.support.data.faces import face


@pytest.fixture(scope="module")
def finder():
    return face_search.FaceSearch()


def scene(shape, faces):
    pixels = np.full(shape, 128, np.uint8)
    for seed, (left, top, side) in enumerate(faces):
        pixels[top : top + side, left : left + side] = face(seed, side)
    return np.repeat(pixels[..., None], 3, axis=-1)


@pytest.mark.parametrize(
    ("shape", "faces"),
    [
        ((300, 300), [(60, 60, 180)]),
        ((400, 1000), [(20, 30, 120), (300, 200, 150), (700, 60, 200)]),
        # too small for a look at 300x300
        ((1200, 1600), [(100, 100, 90), (900, 700, 80), (1400, 300, 100)]),
        ((500, 300), []),
    ],
)
def test_every_face_is_found_once_and_in_its_place(finder, shape, faces):
    found = finder.search(scene(shape, faces), 0.5)
    assert len(found) == len(faces)
    for one, (left, top, side) in zip(found, faces, strict=True):
        assert face_search.overlap(one.box, (left, top, left + side, top + side)) > 0.45
        assert one.confidence > 0.5


def test_only_what_is_above_the_threshold(finder):
    picture = scene((400, 1000), [(20, 30, 120), (300, 200, 150), (700, 60, 200)])
    confidences = sorted(one.confidence for one in finder.search(picture, 0.5))
    assert len(finder.search(picture, confidences[0])) == 2
    assert len(finder.search(picture, confidences[-1])) == 0


def test_a_picture_that_a_face_fills_has_the_confidence_of_screening(finder):
    picture = scene((240, 240), [(0, 0, 240)])
    (best,) = face_detector.Detector(workers=1, exact=True).look([picture])
    assert finder.search(picture, 0.5) == [best]


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3000, 2), (37, 41)])
def test_odd_shapes_have_no_faces_and_no_crash(finder, shape):
    assert finder.search(np.zeros((*shape, 3), np.uint8), 0.5) == []


def test_overlap_counts_pixels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        low = rng.integers(0, 10, (2, 2))
        boxes = np.concatenate([low, low + rng.integers(1, 10, (2, 2))], axis=1)
        masks = np.zeros((2, 20, 20), bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
            mask[top:bottom, left:right] = True
        wanted = masks.all(0).sum() / masks.any(0).sum()
        assert face_search.overlap(*map(tuple, boxes.tolist())) == pytest.approx(wanted)


def test_of_boxes_of_one_face_the_surest_stays():
    whole, shifted, mouth = (0, 0, 100, 100), (10, 10, 110, 110), (30, 60, 70, 90)
    beside = (150, 0, 250, 100)
    found = [
        Detection(confidence, box)
        for confidence, box in ((0.7, whole), (0.9, shifted), (0.95, beside), (0.6, mouth))
    ]
    assert face_search.distinct(found) == [found[2], found[1]]
