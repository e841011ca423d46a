"""Scores of predictions against scikit-learn and SciPy, and refusal of malformed predictions."""

import dataclasses
import json
import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from faceemo.analysis.predictions import classification_report, compute_scores, find_confused_pairs
from faceemo.config import CLASSES
from faceemo.errors import UserError


def changed(predictions, **fields):
    return dataclasses.replace(predictions, **fields)


def test_scores_agree_with_scikit_learn(predictions):
    found = compute_scores(predictions)
    labels, predicted = predictions.labels, predictions.probabilities.argmax(1)
    assert 0.5 < found["accuracy"] < 0.95  # neither trivial
    assert found["accuracy"] == metrics.accuracy_score(labels, predicted)
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert found["confusion"] == metrics.confusion_matrix(labels, predicted).tolist()
    oracle = metrics.classification_report(
        labels, predicted, target_names=CLASSES, output_dict=True
    )
    for name in CLASSES:
        ours, theirs = found["per_class"][name], oracle[name]
        for measure, theirs_name in (("precision",) * 2, ("recall",) * 2, ("f1", "f1-score")):
            assert ours[measure] == pytest.approx(theirs[theirs_name])
        assert ours["support"] == theirs["support"]
    # float64 and renormalised, because log_loss objects to float32 rounding
    exact = predictions.probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    assert found["loss"] == pytest.approx(metrics.log_loss(labels, exact), rel=1e-6)


def test_accuracy_interval_and_majority_baseline(predictions):
    found = compute_scores(predictions)
    right = int((predictions.probabilities.argmax(1) == predictions.labels).sum())
    oracle = binomtest(right, len(predictions.labels)).proportion_ci(method="wilson")
    assert found["accuracy_interval"] == pytest.approx([oracle.low, oracle.high])
    counts = np.bincount(predictions.labels)
    assert found["majority_baseline"] == counts.max() / counts.sum()
    assert found["majority_class"] == CLASSES[counts.argmax()]


def test_scores_survive_json(predictions):
    found = compute_scores(predictions)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_absent_class_has_no_interval_and_does_not_lower_macro_f1(predictions):
    kept = predictions.labels != 3
    probabilities = predictions.probabilities[kept].copy()
    probabilities[:, 3] = 0
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    subset = changed(
        predictions,
        probabilities=probabilities,
        labels=predictions.labels[kept],
        images=predictions.images[kept],
        paths=tuple(np.array(predictions.paths)[kept]),
        names=(),
    )
    found = compute_scores(subset)
    assert found["per_class"]["surprise"] == {
        "precision": 0, "recall": 0, "recall_interval": None, "f1": 0,
        "f1_interval": None, "support": 0,
    }  # fmt: skip
    others = [found["per_class"][name]["f1"] for name in CLASSES[:3]]
    assert found["macro_f1"] == pytest.approx(sum(others) / 3)
    assert "surprise" in classification_report(subset)


def test_probability_zero_for_the_truth_gives_a_finite_loss(predictions):
    sure = np.zeros_like(predictions.probabilities)
    sure[np.arange(len(sure)), (predictions.labels + 1) % 4] = 1
    found = compute_scores(changed(predictions, probabilities=sure))
    assert math.isfinite(found["loss"])
    assert found["loss"] > 80
    z = NormalDist().inv_cdf(0.975) ** 2
    assert found["accuracy_interval"] == pytest.approx([0, z / (len(sure) + z)])


def test_confused_pairs_partition_the_mistakes(predictions):
    pairs = find_confused_pairs(predictions)
    predicted = predictions.probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != predictions.labels)
    together = np.concatenate([pair.indexes for pair in pairs])
    assert sorted(together) == sorted(wrong)
    sizes = [pair.indexes.size for pair in pairs]
    assert sizes == sorted(sizes, reverse=True)
    for pair in pairs:
        assert (predictions.labels[pair.indexes] == pair.true).all()
        assert (predicted[pair.indexes] == pair.predicted).all()
        assert (np.diff(predictions.probabilities.max(1)[pair.indexes]) <= 0).all()


def _nan(predictions):
    probabilities = predictions.probabilities.copy()
    probabilities[7, 2] = np.nan
    return {"probabilities": probabilities}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            lambda p: {
                "probabilities": p.probabilities[:0],
                "labels": p.labels[:0],
                "paths": (),
                "images": p.images[:0],
            },
            "at least one image",
        ),
        (_nan, r"NaN or infinity on 1 of 120 images, first 'test/\w+/7.jpg'.*learning_rate"),
        (lambda p: {"probabilities": p.probabilities[:, :3]}, r"\(120, 4\); found.*\(120, 3\)"),
        (lambda p: {"probabilities": p.probabilities[:-1]}, r"found probabilities \(119, 4\)"),
        (lambda p: {"paths": p.paths[:-1]}, r"found paths \(119,\)"),
        (lambda p: {"images": p.images[:, :40]}, r"found images \(120, 40, 48\)"),
        (lambda p: {"images": p.images.astype(np.float32)}, "found float32"),
        (lambda p: {"labels": np.where(p.labels == 3, 4, p.labels)}, r"labels from 0 to 3.*\[4\]"),
        (lambda p: {"labels": p.labels - 1}, r"found the labels \[-1\]"),
        (lambda p: {"probabilities": np.log(p.probabilities)}, "softmax of the logits"),
        (lambda p: {"probabilities": p.probabilities * 2}, "sum to 1"),
    ],
)
def test_malformed_predictions_are_refused(predictions, fields, message):
    with pytest.raises(UserError, match=message):
        changed(predictions, **fields(predictions))


def test_images_in_colour_have_three_channels_behind_their_sides(predictions):
    grey = predictions.images
    coloured = np.repeat(grey[..., None], 3, axis=-1)
    assert changed(predictions, images=coloured).images is coloured
    for wrong in (coloured[..., :2], coloured[:, 1:], coloured[1:], coloured[..., 0, :]):
        with pytest.raises(UserError, match="images"):
            changed(predictions, images=wrong)
