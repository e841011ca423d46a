"""Search for all faces of a photo: each is found once, where it was put."""

import concurrent.futures

import numpy as np
import pytest

from faceemo.data.measure import face_detector, face_search
from faceemo.data.measure.boxes import box_iou
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
        # too small for the pass at 300x300
        ((1200, 1600), [(100, 100, 90), (900, 700, 80), (1400, 300, 100)]),
        ((500, 300), []),
    ],
)
def test_every_face_is_found_once_and_in_its_place(finder, shape, faces):
    found = finder.search(scene(shape, faces), 0.5, 48)
    assert len(found) == len(faces)
    for one, (left, top, side) in zip(found, faces, strict=True):
        assert box_iou(one.box, (left, top, left + side, top + side)) > 0.45
        assert one.confidence > 0.5


def test_only_faces_above_the_threshold_are_found(finder):
    photo = scene((400, 1000), [(20, 30, 120), (300, 200, 150), (700, 60, 200)])
    confidences = sorted(one.confidence for one in finder.search(photo, 0.5, 48))
    assert len(finder.search(photo, confidences[0], 48)) == 2
    assert len(finder.search(photo, confidences[-1], 48)) == 0


def test_a_face_that_fills_the_photo_has_the_confidence_of_the_detector(finder):
    photo = scene((240, 240), [(0, 0, 240)])
    (best,) = face_detector.Detector(workers=1, exact=True).detect([photo])
    assert finder.search(photo, 0.5, 48) == [best]


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3000, 2), (37, 41)])
def test_odd_shapes_have_no_faces_and_no_crash(finder, shape):
    assert finder.search(np.zeros((*shape, 3), np.uint8), 0.5, 48) == []


def test_threads_share_a_search(finder):
    """Two threads in one network of OpenCV would find faces that are in neither photo."""
    photos = [scene((300, 300), [(left, 60, 150)]) for left in (10, 60, 110, 150)] * 3
    alone = [finder.search(photo, 0.5, 48) for photo in photos]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda photo: finder.search(photo, 0.5, 48), photos)) == alone
