"""Tests of predictions against the run's evaluation, and of all forms of input."""

import contextlib
import csv
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import faceemo
from faceemo.config import CLASSES, make_config
from faceemo.data.measure.face_detector import Detector
from faceemo.data.sample import sample
from faceemo.errors import UserError
from faceemo.experiments import run as experiments
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import MAX_BATCH, Predictor
from faceemo.train.checkpoint.trained_model import NAME, TrainedModel
from tests.support.data.faces import face

pytestmark = pytest.mark.slow


CONFIG = "0,image_size=32,weights=none,epochs=1,learning_rate=0.0003"


@pytest.fixture(scope="module")
def run(tmp_path_factory, narrow_vgg16, module_plain_figures):
    """The folder of a small run, trained and evaluated; 'data' beside it has its images."""
    folder = tmp_path_factory.mktemp("inference")
    sample.write_zip(folder / "data", seed=5, counts={"train": 48, "validation": 40, "test": 8})
    config = make_config("vgg16", f"{CONFIG},data_dir={folder / 'data'}")
    experiments.train(config, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def run_predictor(run):
    """The predictor of the run."""
    return faceemo.load(run)


@pytest.fixture(scope="module")
def files(run):
    """The run's validation images, by their paths in its report."""
    root = run.parent / "data" / "unique_images"
    paths = sorted((root / "validation").rglob("*.jpg"))
    return {path.relative_to(root).as_posix(): path for path in paths}


def to_array(predictions):
    """Returns the probabilities of predictions as an array [N, C]."""
    return np.array([list(one.probabilities.values()) for one in predictions])


@pytest.mark.slow(seconds=30)
def test_validation_images_get_the_predictions_of_the_evaluation(run, run_predictor, files):
    """The search for faces changes nothing, and both are calibrated: temperature is not 1."""
    with (run / "report" / "validation" / "predictions.csv").open() as lines:
        rows = {row["path"]: row for row in csv.DictReader(lines)}
    assert rows.keys() == files.keys()
    temperature = json.loads((run / "calibration.json").read_text())["temperature"]
    assert abs(temperature - 1) > 0.01
    for crops in (True, False):
        predictions = run_predictor.predict(list(files.values()), crops=crops)
        assert [one.leaning for one in predictions] == [rows[path]["predicted"] for path in files]
        reported = [[float(rows[path][name]) for name in CLASSES] for path in files]
        np.testing.assert_allclose(to_array(predictions), reported, rtol=1e-4)


def test_every_form_of_an_image_gives_the_same_prediction(predictor, tmp_path):
    import tensorflow as tf  # which takes seconds in every process that only collects tests

    arrays = [face(seed) for seed in range(3)]
    for index, array in enumerate(arrays):  # without loss, so that every decoder agrees
        Image.fromarray(array).save(tmp_path / f"{index}.png")
    (tmp_path / "notes.txt").write_text("not an image, and without the suffix of one")
    batch = np.stack(arrays)
    colours = np.repeat(batch[..., None], 3, axis=-1)
    expected = to_array(predictor.predict(arrays))
    forms = [
        batch,
        colours,
        list(colours),
        [Image.fromarray(array) for array in arrays],
        [Image.fromarray(array).convert("RGBA") for array in arrays],
        tmp_path,
        str(tmp_path),
        [arrays[0], tmp_path / "1.png", Image.fromarray(arrays[2])],
        (one for one in (batch[:1], colours[1:])),
        tf.constant(batch),
        batch[..., None],
    ]
    for form in forms:
        folder = isinstance(form, str | Path) and Path(form).is_dir()
        with (
            pytest.warns(UserWarning, match=r"left out: .*notes.txt: not an image or video")
            if folder
            else contextlib.nullcontext()
        ):
            predictions = predictor.predict(form)
        np.testing.assert_allclose(to_array(predictions), expected, atol=1e-6)
        assert [one.index for one in predictions] == [0, 1, 2]
    assert np.ptp(expected, axis=0).max() > 0.01, "predictions must differ between the images"
    assert [one.name for one in predictor.predict(tmp_path / "0.png")] == [str(tmp_path / "0.png")]
    assert predictor.predict([]) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 48), np.float32),
        np.zeros((48, 48, 2), np.uint8),
        np.zeros((2, 48, 48, 2), np.uint8),
        np.zeros((0, 48), np.uint8),
        np.zeros(3, np.uint8),
        np.zeros((), np.uint8),
        b"bytes",
        7,
        None,
        [np.zeros((48, 48), np.uint8), {"image": 1}],
        "no/such/place.jpg",
    ],
)
def test_something_that_is_no_image_is_refused(predictor, image):
    with pytest.raises(UserError, match=r"expected .* found .* Fix"):
        predictor.predict(image)


def test_a_damaged_file_in_a_folder_is_one_prediction_among_the_others(predictor, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    Image.fromarray(face(1)).save(tmp_path / "a.png")
    whole, cut = predictor.predict(tmp_path)
    assert whole == predictor.predict(tmp_path / "a.png")[0]
    assert (cut.index, cut.name, cut.status) == (1, str(tmp_path / "cut.jpg"), "unreadable")
    assert "Truncated" in cut.problem
    assert (cut.label, cut.leaning, cut.probabilities, cut.box) == (None, None, {}, None)
    assert predictor.predict([tmp_path / "cut.jpg", tmp_path / "a.png"])[1].label == whole.label


def test_batches_of_any_size_share_six_programs(predictor):
    fresh = Predictor(predictor.trained)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **about: (
            compiled.append(event)
            if event == "/jax/core/compile/backend_compile_duration"
            else None
        )
    )
    try:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (2 * MAX_BATCH + 3, 48, 48), np.uint8)
        whole = fresh.probabilities(images)
        for size in range(len(images) + 1):
            np.testing.assert_allclose(fresh.probabilities(images[:size]), whole[:size], atol=1e-6)
        # 1, 2, 4, 8, 16, 32
        assert len(compiled) == 6
    finally:
        jax.monitoring.clear_event_listeners()


def test_all_faces_of_a_photo_are_found_and_none_in_an_empty_one(predictor):
    photo = np.full((400, 700), 128, np.uint8)
    places = [(30, 60, 160), (300, 200, 130), (520, 40, 140)]  # left, top, side
    for seed, (left, top, side) in enumerate(places):
        photo[top : top + side, left : left + side] = face(seed, side)
    predictions = predictor.predict([photo, np.full((400, 700), 128, np.uint8), face(9, 48)])
    assert [one.index for one in predictions] == [0, 0, 0, 1, 2]
    for one, (left, top, side) in zip(predictions, places, strict=False):
        assert one.box is not None
        middle = (one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2
        assert middle == pytest.approx((left + side / 2, top + side / 2), abs=side / 4)
        assert 0.6 * side < one.box[3] - one.box[1] < 1.4 * side
        assert one.face_confidence > 0.5
    nothing = predictions[3]
    assert (nothing.status, nothing.label, nothing.leaning) == ("no_face", None, None)
    assert (nothing.probabilities, nothing.box) == ({}, None)


def test_threshold_and_smallest_height_decide_what_is_a_face(predictor):
    photo = np.full((400, 700), 128, np.uint8)
    photo[60:220, 30:190], photo[100:160, 400:460] = face(0, 160), face(1, 60)
    large, small = predictor.predict(photo)

    def find(**options):
        return Predictor(predictor.trained, **options).predict(photo)

    def find_boxes(**options):  # probabilities depend on the size of the batch in their last digit
        return [(one.box, one.face_confidence, one.leaning) for one in find(**options)]

    both = [(one.box, one.face_confidence, one.leaning) for one in (large, small)]

    assert find_boxes(min_face=90) == both[:1]
    assert find_boxes(min_face=20) == find_boxes(face_threshold=0.5) == both
    lower, higher = sorted([large, small], key=lambda one: one.face_confidence)
    (most,) = find_boxes(face_threshold=lower.face_confidence)
    assert most == (higher.box, higher.face_confidence, higher.leaning)
    (nothing,) = find(face_threshold=higher.face_confidence)
    assert nothing.status == "no_face"
    crop = face(9, 48)
    (one,) = predictor.predict(crop)
    assert Predictor(predictor.trained, min_face=200).predict(crop)[0].status == "no_face"
    assert one.status != "no_face"


def test_a_higher_threshold_is_compared_with_the_confidence_at_300_pixels(predictor):
    """The cascade's confidence at a smaller side says nothing about a threshold above 0.5."""
    crop = face(9, 48)
    (exact,) = Detector(exact=True).detect([np.repeat(crop[..., None], 3, axis=-1)])
    (one,) = Predictor(predictor.trained, face_threshold=0.6).predict(crop)
    assert one.face_confidence == exact.confidence


@pytest.mark.parametrize(
    "options",
    [
        {"face_threshold": 1},
        {"face_threshold": -0.1},
        {"face_threshold": float("nan")},
        {"min_face": 15},
        {"min_face": 0},
        {"min_face": float("inf")},
        {"min_face": float("nan")},
    ],
)
def test_options_out_of_range_are_refused(predictor, options):
    (name,) = options
    with pytest.raises(UserError, match=name):
        Predictor(predictor.trained, **options)


def test_a_large_image_filled_by_a_face_is_taken_whole(predictor):
    large = face(3, 192)
    small = np.asarray(Image.fromarray(large).resize((48, 48), Image.Resampling.BILINEAR))
    (one,) = predictor.predict(large)
    np.testing.assert_array_equal(to_array([one]), to_array(predictor.predict(small, crops=True)))


def test_a_prediction_more_likely_wrong_than_right_is_unsure(predictor):
    for best, status, label in ((0.49, "unsure", None), (0.5, "ok", "b")):
        one = Prediction.from_probabilities(
            0, "x", {"a": 1 - best - 0.3, "b": best, "c": 0.3}, None, None
        )
        assert (one.status, one.label) == (status, label)
        assert (one.leaning, one.probability) == ("b", best)
    predictions = predictor.predict(np.stack([face(seed) for seed in range(12)]), crops=True)
    for one in predictions:
        assert (one.status == "ok") == (max(one.probabilities.values()) >= 0.5)
        assert json.loads(json.dumps(one.to_dict()))["status"] == one.status


@pytest.mark.slow
def test_a_stored_network_predicts_as_its_run(run, run_predictor, tmp_path):
    path = tmp_path / NAME
    TrainedModel.from_run(run, require_temperature=True).save(path)
    images = np.stack([face(seed) for seed in range(4)])
    for place in (path, tmp_path):
        assert faceemo.load(place).predict(images) == run_predictor.predict(images)


def test_a_path_without_a_network_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "lost"):
        with pytest.raises(UserError, match="run's folder"):
            faceemo.load(path)


@pytest.mark.slow
def test_weights_without_a_temperature_get_a_warning(run, tmp_path, capsys):
    other = tmp_path / "run"
    other.mkdir()
    for name in ("best", "frozen", "latest"):
        (other / name).symlink_to(run / name)
    assert faceemo.load(other).trained.temperature == 1
    assert "not calibrated" in capsys.readouterr().err
