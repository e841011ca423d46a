"""The detector against plain OpenCV: one image, one pass, the network as published."""

import cv2
import numpy as np
import pytest

from faceemo.assets import catalogue
from faceemo.data.measure import face_detector
from tests.support.data.faces import face, jpeg, odd_files

pytestmark = pytest.mark.slow


def place_face(seed, side, left, top, canvas=200):
    """Draws a face on a plain background."""
    pixels = np.full((canvas, canvas), 128, np.uint8)
    pixels[top : top + side, left : left + side] = face(seed, side)
    return pixels


@pytest.fixture(scope="module")
def files():
    """Returns files by name: faces, no faces, other sizes, modes and formats."""
    rng = np.random.default_rng(11)
    result = {f"face{seed}.jpg": jpeg(face(seed), quality=90) for seed in range(14)}
    result |= {f"noise{i}.jpg": jpeg(rng.integers(0, 256, (48, 48), np.uint8)) for i in range(4)}
    # half-visible and faded faces lie between the two
    for seed in range(8):
        pixels = face(30 + seed).astype(float)
        faded = 128 + (pixels - 128) * (seed + 1) / 16
        result[f"faded{seed}.jpg"] = jpeg(faded.astype(np.uint8))
        result[f"cut{seed}.jpg"] = jpeg(face(50 + seed)[:, : 12 + 4 * seed])
    return result | odd_files()


@pytest.fixture(scope="module")
def detector():
    return face_detector.Detector(exact=True)


@pytest.fixture(scope="module")
def fast():
    return face_detector.Detector()


def plain_confidences(paths):
    """Computes the best confidence of each image as the original project did."""
    network = cv2.dnn.readNetFromCaffe(
        str(catalogue.fetch("res10.prototxt")), str(catalogue.fetch("res10.caffemodel"))
    )
    result = []
    for path in paths:
        image = cv2.imread(str(path))
        assert image is not None
        image = cv2.resize(image, (300, 300))
        network.setInput(cv2.dnn.blobFromImage(image, 1.0, (300, 300), (104.0, 177.0, 123.0)))
        result.append(network.forward()[0, 0, :, 2].max())
    return np.array(result)


def bgr(content):
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_confidences_equal_those_of_plain_opencv(tmp_path, files, detector):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    expected = plain_confidences([tmp_path / name for name in files])
    found = detector.detect([bgr(content) for content in files.values()])
    np.testing.assert_array_equal(np.float32([one.confidence for one in found]), expected)
    # the images must be hard enough to tell right from nearly right
    assert 10 < (expected > 0.5).sum() < len(expected) - 5
    assert ((expected > 0.1) & (expected < 0.9)).sum() >= 3


def test_batch_and_workers_do_not_matter(files, detector):
    images = [bgr(content) for content in files.values()][:11]
    together = detector.detect(images)
    assert face_detector.Detector(workers=1, exact=True).detect(images[::-1]) == together[::-1]
    assert [detector.detect([image])[0] for image in images[:3]] == together[:3]
    assert detector.detect([]) == []


def test_the_cascade_decides_as_the_full_size_does(files, detector, fast):
    """And it accepts an image early only above the limit of that side."""
    images = [bgr(content) for content in files.values()]
    exact, found = detector.detect(images), fast.detect(images)
    for one, other in zip(found, exact, strict=True):
        assert (one.confidence > 0.5) == (other.confidence > 0.5)
        if one.side == face_detector.SIDE:
            assert one == other
        else:
            assert one.confidence > face_detector.CASCADE[one.side]
    sides = [one.side for one in found]
    assert all(sides.count(side) >= 2 for side in (*face_detector.CASCADE, face_detector.SIDE))
    assert face_detector.Detector(workers=1).detect(images[::-1]) == found[::-1]
    assert fast.detect([]) == []


@pytest.mark.parametrize(
    ("side", "left", "top"), [(200, 0, 0), (150, 0, 40), (150, 50, 50), (110, 80, 5), (110, 5, 85)]
)
def test_the_box_is_where_the_face_is(tmp_path, detector, side, left, top):
    target = (left, top, left + side, top + side)
    images = [jpeg(place_face(seed, side, left, top), quality=90) for seed in range(3)]
    for found in detector.detect([bgr(image) for image in images]):
        assert found.confidence > 0.5
        corners = np.array([found.box, target])
        low, high = corners[:, :2].max(0), corners[:, 2:].min(0)
        shared = np.prod(np.maximum(high - low, 0))
        areas = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
        assert shared / (areas.sum() - shared) > 0.5
