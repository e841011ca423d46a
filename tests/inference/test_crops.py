"""Predictions on face crops, several together: the same as one by one, in the same order."""

import cv2
import numpy as np
import pytest
from PIL import Image

from faceemo.data.measure.decode import Pixels
from faceemo.data.measure.second_look import SecondLook
from faceemo.inference import crops
from faceemo.inference.crops import BATCH
from faceemo.inference.face_check import FaceCheck, judge
from faceemo.inference.faces import FaceFinder
from faceemo.inference.images import load_images
from faceemo.inference.loaded_image import LoadedImage
from tests.support.data.faces import face


def make_crops():
    """Draws faces as they are, turned, blurred, small, oblong and in colour, and noise."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    oblong = cv2.resize(face(5), (200, 150))
    return [
        *(face(seed) for seed in range(4)),
        np.rot90(face(2)),
        noise,
        np.rot90(face(1), 2),
        cv2.GaussianBlur(face(2), (0, 0), 2.5),
        cv2.resize(face(3), (20, 20)),
        oblong,
        np.stack([face(6)] * 3, -1),
        noise[::-1].copy(),
    ]


def test_evidence_of_many_crops_is_that_of_each_alone():
    images = [Pixels.from_image(Image.fromarray(one)).bgr for one in make_crops()]
    inputs = [cv2.resize(one, (48, 48)) for one in make_crops()]
    check = FaceCheck(SecondLook)
    sides = [float(min(one.shape[:2])) for one in images]
    together = check.gather_crops(images, inputs, sides)
    for image, crop, side, one in zip(images, inputs, sides, together, strict=True):
        height, width = image.shape[:2]
        place = (0.0, 0.0, float(width), float(height))
        alone = check.gather(image, crop, place, whole=True, side=side)
        assert (one.side, one.sharpness, one.near) == (alone.side, alone.sharpness, alone.near)
        assert one.look == pytest.approx(alone.look, abs=1e-5)
        assert one.turned == pytest.approx(alone.turned, abs=1e-5)
        assert judge(one) == judge(alone)
    assert len({judge(one) for one in together}) >= 4, "clear, turned, upside down, none, ..."
    assert check.gather_crops([], [], []) == []


@pytest.mark.slow
def test_predictions_on_many_files_are_those_on_each(predictor, tmp_path):
    paths = [tmp_path / f"{number:02}.png" for number in range(2 * len(make_crops()))]
    for path, crop in zip(paths, make_crops() * 2, strict=True):
        Image.fromarray(crop).save(path)
    paths[3].write_bytes(paths[3].read_bytes()[:60])
    together = list(predictor.stream(load_images(paths), crops=True))
    alone = list(predictor.stream(load_images(paths), crops=True, immediate=True))
    assert [image.name for image, _ in together] == list(map(str, paths))
    for (_, (one,)), (_, (other,)) in zip(together, alone, strict=True):
        for name in ("index", "name", "status", "label", "reason", "problem", "region", "box"):
            assert getattr(one, name) == getattr(other, name)
        assert one.face_confidence == pytest.approx(other.face_confidence, abs=1e-5)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert {one.status for _, (one,) in together} >= {"unsure", "no_face", "unreadable"}


def make_stream(count, taken):
    for index in range(count):
        taken.append(index)
        yield LoadedImage(index, str(index), Pixels.from_image(Image.fromarray(face(index))))


def test_few_crops_are_read_before_the_first_is_predicted(predictor):
    sizes, taken = [], []

    def predict(batch):
        sizes.append(len(batch))
        return ((image, []) for image, _ in batch)

    finder = FaceFinder(predictor.network.image_format, 0.5, check=False)
    found = crops.predict_crops(make_stream(100, taken), finder, predict)
    assert next(found)[0].index == 0
    assert len(taken) <= 4 * BATCH
    assert [image.index for image, _ in found] == list(range(1, 100))
    assert sorted(sizes) == sorted([BATCH] * (100 // BATCH) + [100 % BATCH])


def test_large_images_do_not_wait_for_a_full_batch(predictor, monkeypatch):
    monkeypatch.setattr(crops, "MAX_WAITING_PIXELS", 48 * 48 * BATCH)
    sizes = []

    def predict(batch):
        sizes.append(len(batch))
        return ((image, []) for image, _ in batch)

    finder = FaceFinder(predictor.network.image_format, 0.5, check=False)
    assert len(list(crops.predict_crops(make_stream(5, []), finder, predict))) == 5
    assert sorted(sizes) == [1, 2, 2], "two crops have more pixels than one of eight parts"
