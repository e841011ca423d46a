"""Tests of the check of faces: what it doubts, what it leaves out, and how to do without it."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from faceemo.commands import cli
from faceemo.data.measure.second_look import SecondLook
from faceemo.inference import face_check
from faceemo.inference.face_check import Evidence, judge, measure_sharpness
from faceemo.inference.film.smoothing import Smoother
from faceemo.inference.prediction import IMPROBABLE, NOTHING_FOUND, Prediction
from faceemo.inference.predictor import Predictor
from tests.support.data.faces import face

CLEAR = Evidence(side=48, sharpness=0.5, look=0.99)
NOISE = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)


@pytest.mark.parametrize(
    ("evidence", "doubt"),
    [
        (CLEAR, ""),
        (dataclasses.replace(CLEAR, look=0.9), ""),
        (dataclasses.replace(CLEAR, look=0.89), face_check.UNCLEAR),
        (dataclasses.replace(CLEAR, look=0.2, near=0.5), face_check.UNCLEAR),
        (dataclasses.replace(CLEAR, look=0.49, near=0.49), None),
        (dataclasses.replace(CLEAR, side=23.4), "the face is only 23 pixels high"),
        (dataclasses.replace(CLEAR, side=24), ""),
        (dataclasses.replace(CLEAR, sharpness=0.029), face_check.BLURRED),
        (dataclasses.replace(CLEAR, look=0.2, turned=(0.1, 0.1, 0.95)), face_check.TURNED[1]),
        (
            dataclasses.replace(CLEAR, look=0.95, turned=(0.1, 0.99, 0.98)),
            "the face is upside down",
        ),
        (dataclasses.replace(CLEAR, look=0.95, turned=(0.1, 0.94, 0.1)), ""),
        # a place that looks like a face in no direction is none, whichever is the best of them
        (dataclasses.replace(CLEAR, look=0.2, turned=(0.1, 0.4, 0.8)), None),
    ],
)
def test_a_face_is_judged_by_thresholds(evidence, doubt):
    assert judge(evidence) == doubt


@pytest.mark.parametrize("side", [32, 48])
def test_sharpness_is_the_variance_of_the_laplacian_by_that_of_the_pixels(side):
    crop = face(1, side)
    # OpenCV's border, reflect-101, is SciPy's 'mirror'
    edges = scipy.ndimage.laplace(crop.astype(float), mode="mirror")
    assert measure_sharpness(crop) == pytest.approx(edges.var() / crop.astype(float).var())


def test_sharpness_depends_neither_on_contrast_nor_on_colour_nor_on_enlargement():
    crop = face(1)
    dim = (crop.astype(float) / 4 + 90).round().astype(np.uint8)
    assert measure_sharpness(dim) == pytest.approx(measure_sharpness(crop), rel=0.1)
    assert measure_sharpness(np.stack([crop] * 3, -1)) == measure_sharpness(crop)
    assert measure_sharpness(crop.repeat(4, 0).repeat(4, 1)) == measure_sharpness(crop)
    assert measure_sharpness(np.full((48, 48), 7, np.uint8)) == 0


def test_a_second_look_sees_a_face_where_it_is_and_how_it_is_turned():
    photo = np.full((200, 300, 3), 128, np.uint8)
    photo[60:140, 150:230] = np.rot90(face(2, 80))[..., None]  # a quarter turn anticlockwise
    look = SecondLook().look
    place = (150.0, 60.0, 230.0, 140.0)
    upright, left, half, right = look(photo, place, 1.0, (0, 1, 2, 3))
    assert right > 0.9 > max(upright, left, half)  # three more complete the circle
    (beside,) = look(photo, (10.0, 60.0, 90.0, 140.0), 1.0)
    assert beside < 0.3


@pytest.mark.parametrize(
    ("crop", "reason"),
    [
        (face(2), {"", IMPROBABLE}),
        (np.rot90(face(2)), {"the face is turned by about 90 degrees"}),
        (np.rot90(face(2), 2), {"the face is upside down"}),
        (cv2.GaussianBlur(face(2), (0, 0), 2.5), {face_check.BLURRED, NOTHING_FOUND}),
        (
            np.asarray(Image.fromarray(face(2)).resize((20, 20))),
            {"the face is only 20 pixels high"},
        ),
        (NOISE, {NOTHING_FOUND}),
    ],
)
def test_crops_are_checked_although_no_face_is_searched_for(predictor, crop, reason):
    (one,) = predictor.predict(Image.fromarray(crop), crops=True)
    assert one.reason in reason
    assert one.status == {"": "ok", NOTHING_FOUND: "no_face"}.get(one.reason, "unsure")
    assert (one.label is None) == bool(one.reason)
    assert one.box is None
    assert (one.face_confidence is None) == (one.status == "no_face")
    (unchecked,) = Predictor(predictor.network, check_faces=False).predict(
        Image.fromarray(crop), crops=True
    )
    assert unchecked.reason in {"", IMPROBABLE}
    assert unchecked.face_confidence is None
    assert one.probabilities in ({}, unchecked.probabilities)


def test_what_is_no_face_in_a_photograph_is_left_out(predictor, monkeypatch):
    photo = np.full((300, 600), 128, np.uint8)
    photo[60:220, 40:200], photo[80:230, 380:530] = face(0, 160), face(1, 150)
    found = predictor.predict(photo)
    assert len(found) == 2

    def look(self, image, box, context, turns=(0,)):
        return [0.99 if box[0] < 300 else 0.3] * len(turns)

    monkeypatch.setattr(SecondLook, "look", look)
    (one,) = predictor.predict(photo)
    assert (one.box, one.reason) == (found[0].box, found[0].reason)
    assert len(Predictor(predictor.network, check_faces=False).predict(photo)) == 2


def test_smoothing_keeps_the_doubt_about_a_face_and_judges_probabilities_anew():
    def make(happy, doubt=""):
        probabilities = {"happy": happy, "neutral": 0.45, "sad": 0.55 - happy}
        return Prediction.from_probabilities(
            0, "a", probabilities, None, None, track=1, doubt=doubt
        )

    smoother = Smoother(0.5)
    smoother.smooth([make(0.55)])
    (one,) = smoother.smooth([make(0.4)])
    assert (make(0.4).reason, one.status, one.reason) == (IMPROBABLE, "unsure", IMPROBABLE)
    (one,) = smoother.smooth([make(0.55)])
    assert (one.status, one.reason) == ("ok", "")
    (one,) = smoother.smooth([make(0.55, face_check.BLURRED)])
    assert (one.status, one.label, one.reason) == ("unsure", None, face_check.BLURRED)


def test_the_check_can_be_left_out_on_the_command_line(network, tmp_path, capsys):
    path = tmp_path / "noise.png"
    Image.fromarray(NOISE).save(path)
    statuses = []
    for options in ([], ["--no-face-check"]):
        assert (
            cli.main(["predict", str(network), str(path), "--crops", "--format", "jsonl", *options])
            == 0
        )
        statuses.append(json.loads(capsys.readouterr().out)["status"])
    assert statuses[0] == "no_face"
    assert statuses[1] in ("ok", "unsure")
