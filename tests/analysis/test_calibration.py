"""Calibration against scikit-learn's curve, known temperatures and the definition; the file."""

import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from faceemo.analysis import calibration
from faceemo.analysis.predictions import Predictions, compute_scores
from faceemo.analysis.report.reliability import draw_reliability_diagram
from faceemo.analysis.theme import palette
from faceemo.errors import UserError
from faceemo.train.checkpoint.temperature import read_calibration


def draw_labels(logits, rng):
    """Draws labels from the probabilities of the logits, so that these are perfectly calibrated."""
    probabilities = softmax(logits, axis=1)
    labels = (probabilities.cumsum(axis=1) > rng.random((len(logits), 1))).argmax(axis=1)
    return labels.astype(np.int32)


def make_predictions_from(logits, labels):
    n = len(logits)
    return Predictions(
        softmax(logits, axis=1).astype(np.float32),
        labels,
        tuple(map(str, range(n))),
        np.zeros((n, 1, 1), np.uint8),
    )


@pytest.fixture(scope="module")
def overconfident():
    """Makes predictions whose logits are 2.5 times those that the labels were drawn from."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 1.5
    return make_predictions_from(2.5 * logits, draw_labels(logits, rng))


def test_bins_and_ece_agree_with_scikit_learn(predictions):
    right = predictions.predicted == predictions.labels
    confidence = predictions.confidence.astype(np.float64)
    share, mean = calibration_curve(right, confidence, n_bins=15, strategy="uniform")
    found = calibration.measure(predictions)
    assert [row["accuracy"] for row in found["bins"]] == pytest.approx(share)
    assert [row["confidence"] for row in found["bins"]] == pytest.approx(mean)
    counts = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    counts = counts[counts > 0]
    assert [row["images"] for row in found["bins"]] == counts.tolist()
    assert found["ece"] == pytest.approx((np.abs(share - mean) * counts).sum() / counts.sum())


def test_certain_predictions_are_in_the_last_bin():
    sure = make_predictions_from(np.eye(4)[[0, 1, 1, 2]] * 100.0, np.array([0, 1, 2, 2], np.int32))
    (only,) = calibration.bin_by_confidence(sure)
    assert (only["high"], only["images"], only["accuracy"]) == (1, 4, 0.75)
    assert calibration.measure(sure)["ece"] == pytest.approx(0.25)


def test_fit_recovers_the_temperature(overconfident):
    temperature = calibration.fit_temperature(overconfident)
    assert temperature == pytest.approx(2.5, rel=0.03)
    before = calibration.measure(overconfident)
    improved = calibration.calibrate(overconfident, temperature)
    after = calibration.measure(improved)
    assert before["ece"] > 0.1
    assert after["ece"] < 0.012  # chance leaves about half of that with 20,000 images
    np.testing.assert_array_equal(improved.predicted, overconfident.predicted)
    for one in (0.97, 1.03):
        worse = calibration.calibrate(overconfident, temperature * one)
        assert compute_scores(worse)["loss"] > after["loss"]
    exact = improved.probabilities.astype(np.float64)
    assert after["loss"] == pytest.approx(
        log_loss(improved.labels, exact / exact.sum(axis=1, keepdims=True)), rel=1e-6
    )


def test_an_underconfident_model_is_sharpened():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 4)) * 3
    found = calibration.fit_temperature(make_predictions_from(logits / 4, draw_labels(logits, rng)))
    assert found == pytest.approx(0.25, rel=0.05)


def test_calibrated_probabilities_are_those_of_divided_logits(overconfident):
    logits = np.log(overconfident.probabilities.astype(np.float64))
    found = calibration.calibrate(overconfident, 1.7).probabilities
    np.testing.assert_allclose(found, softmax(logits / 1.7, axis=1), rtol=1e-5, atol=1e-8)


def test_temperature_stays_within_its_range_without_mistakes():
    sure = make_predictions_from(np.eye(4)[[0, 1, 2, 3]] * 5.0, np.arange(4, dtype=np.int32))
    assert 0.05 <= calibration.fit_temperature(sure) < 0.2  # where the loss has become 0


def test_calibration_file_belongs_to_the_weights_of_one_epoch(tmp_path, overconfident):
    written = calibration.fit(tmp_path, overconfident, best_epoch=3)
    assert written == json.loads((tmp_path / "calibration.json").read_text())
    assert written["ece_after"] < written["ece_before"]
    assert written["fitted_on"] == "validation"
    assert read_calibration(tmp_path, 3) == written
    assert read_calibration(tmp_path, 4) is None
    assert read_calibration(tmp_path / "elsewhere", 3) is None
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(UserError, match="fits a new temperature"):
        read_calibration(tmp_path, 3)


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_diagram_states_ece_baseline_and_temperature(predictions, theme):
    measured = calibration.measure_before_and_after(
        predictions, {"temperature": 1.5, "fitted_on": "validation"}
    )
    scores = compute_scores(predictions)
    figure = draw_reliability_diagram(measured, scores, subtitle="s", theme=theme)
    titles = " ".join(axes.get_title(loc="left") for axes in figure.axes)
    assert f"as trained, ECE {measured['before']['ece']:.3f}" in titles
    assert f"at temperature 1.50, ECE {measured['after']['ece']:.3f}" in titles
    written = " ".join(text.get_text() for text in figure.texts)
    assert f"majority class {scores['majority_baseline']:.3f}" in written.replace("\n", " ")
    alone = draw_reliability_diagram({"before": measured["before"]}, scores, theme=theme)
    assert len(alone.axes) == 2


@pytest.mark.parametrize(
    ("temperature", "words"),
    [
        (0.593, "divided by 0.59, which makes probabilities more certain"),
        (1.5, "divided by 1.50, which makes probabilities less certain"),
        (19.9999, "divided by 20.00, the most allowed: its probabilities do not tell right"),
        (0.05001, "divided by 0.05, the least allowed"),
    ],
)
def test_a_temperature_is_described_by_what_it_does(temperature, words):
    fitted = {"temperature": temperature, "ece_before": 0.166, "ece_after": 0.0914}
    said = calibration.describe(fitted)
    assert words in said
    assert said.endswith("error 0.1660 before, 0.0914 after")


def test_a_calibration_error_that_rises_says_what_chose_the_temperature():
    fitted = {
        **{"temperature": 1.07, "ece_before": 0.1362, "ece_after": 0.1468, "images": 48},
        **{"loss_before": 0.5102, "loss_after": 0.5096},
    }
    said = calibration.describe(fitted)
    assert said.endswith("0.1362 before, 0.1468 after (the temperature is chosen by the loss)")
