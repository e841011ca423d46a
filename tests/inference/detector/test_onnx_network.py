"""The face detector by onnxruntime finds what OpenCV's own layers find, in every image."""

import concurrent.futures

import cv2
import numpy as np
import pytest

from faceemo.data.measure.boxes import box_iou
from faceemo.data.measure.face_detector import Detector, find_opencv_network
from faceemo.data.measure.face_search import FaceSearch
from faceemo.data.measure.second_look import SecondLook
from tests.support.data.faces import face

pytest.importorskip("onnxruntime")
from faceemo.inference.detector.onnx_network import share_network

CONFIDENCE, EDGE = 2e-5, 2e-5  # tolerances; edges are shares of the image


def draw(width, height, seed, faces=1):
    """A texture with drawn faces on it, uint8 [height, width, BGR]."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(60, 200, (height, width, 3), np.uint8)
    picture = cv2.GaussianBlur(picture, (0, 0), 2)
    for number in range(faces):
        side = int(min(width, height) * rng.uniform(0.2, 0.9))
        left, top = rng.integers(0, width - side + 1), rng.integers(0, height - side + 1)
        picture[top : top + side, left : left + side] = face(seed + number, side)[..., None]
    return picture


@pytest.fixture(scope="module")
def opencv():
    return find_opencv_network()()


@pytest.mark.parametrize(
    ("width", "height", "count"),
    [(300, 300, 4), (640, 480, 2), (896, 672, 1), (120, 120, 5), (52, 52, 9), (32, 32, 2),
     (1024, 160, 1), (96, 512, 2)],
)  # fmt: skip
def test_detections_are_those_of_opencv(opencv, width, height, count):
    images = [draw(width, height, seed, faces=1 + seed % 2) for seed in range(count)]
    # OpenCV fills up with detections of no confidence
    theirs = opencv.detect(images, 0.0)
    for above in (0.0101, 0.5):
        ours = share_network().detect(images, above)
        expected = theirs[theirs[:, 2] > above]
        assert len(ours) == len(expected)
        assert len(ours) >= count or above > 0.1
        for image in range(count):
            one, other = (rows[rows[:, 0] == image] for rows in (ours, expected))
            np.testing.assert_allclose(one[:, 2], other[:, 2], atol=CONFIDENCE)
            # those of nearly the same confidence may come in another order
            distances = np.abs(one[:, None, 3:] - other[None, :, 3:]).max(-1, initial=0)
            if not distances.size:
                continue
            assert distances.min(1).max() < EDGE
            assert distances.min(0).max() < EDGE
        assert (ours[:, 1] == 1).all()


def test_an_image_without_anything_has_no_detection():
    blank = np.full((300, 300, 3), 128, np.uint8)
    assert share_network().detect([blank], 0.5).shape == (0, 7)
    both = share_network().detect([blank, draw(300, 300, 1)], 0.5)
    assert set(both[:, 0]) == {1}


def test_searches_find_the_same_faces_in_the_same_places():
    photos = [draw(1000, 700, 3, faces=3), draw(300, 500, 7), draw(2000, 400, 5, faces=2)]
    expected, found = (
        [search.search(photo, 0.5, 40) for photo in photos]
        for search in (FaceSearch(), FaceSearch(share_network))
    )
    assert sum(map(len, expected)) >= 4
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert first.confidence == pytest.approx(second.confidence, abs=CONFIDENCE)
            assert box_iou(first.box, second.box) > 0.999
            assert first.side == second.side


def test_small_images_and_second_looks_are_judged_alike():
    crops = [draw(48, 48, seed) for seed in range(6)] + [np.zeros((48, 48, 3), np.uint8)]
    expected = Detector(workers=1).detect(crops)
    found = Detector(workers=1, make_network=share_network).detect(crops)
    for one, other in zip(found, expected, strict=True):
        assert one.side == other.side
        assert one.confidence == pytest.approx(other.confidence, abs=CONFIDENCE)
    photo = draw(400, 300, 2)
    for box in ((100.0, 50.0, 250.0, 220.0), (0.0, 0.0, 60.0, 60.0)):
        looks = [
            one.look(photo, box, 2.0, (0, 1, 2, 3))
            for one in (SecondLook(), SecondLook(share_network))
        ]
        np.testing.assert_allclose(looks[1], looks[0], atol=CONFIDENCE)


def test_threads_share_the_network():
    images = [draw(300, 300, seed) for seed in range(4)] * 3
    alone = [share_network().detect([image], 0.3) for image in images]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: share_network().detect([image], 0.3), images))
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
