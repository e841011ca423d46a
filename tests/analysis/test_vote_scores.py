"""Scores against votes, compared with scikit-learn and sums by hand."""

import json

import numpy as np
import pytest
from sklearn import metrics

from faceemo.analysis import vote_scores
from faceemo.analysis.predictions import Predictions
from faceemo.analysis.report import conflicts, report
from faceemo.data.votes.arrays import Votes

CLASSES = ("angry", "happy", "neutral")


def make_predictions(images=200, seed=0):
    """Draws predictions, labels and votes of ten annotators that agree more or less."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet((0.4, 0.4, 0.4), images).astype(np.float32)
    counts = np.stack([rng.multinomial(10, row) for row in rng.dirichlet((0.3,) * 3, images)])
    counts[0] = 0  # nobody voted for a class
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    majority = np.where(shares.max(1) > 0.5, shares.argmax(1), -1)
    votes = Votes(
        distribution=shares.astype(np.float32),
        majority=majority.astype(np.int32),
        agreement=shares.max(1).astype(np.float32),
        human=rng.uniform(size=images).astype(np.float32),
        given=rng.integers(-1, 3, images).astype(np.int32),
    )
    return Predictions(
        probabilities,
        np.maximum(majority, 0).astype(np.int32),
        tuple(f"test/happy/{n}.jpg" for n in range(images)),
        rng.integers(0, 255, (images, 8, 8), np.uint8),
        CLASSES,
        votes=votes,
    )


@pytest.mark.parametrize("kind", ["majority", "label"])
def test_accuracy_and_f1_equal_scikit_learn_where_there_is_a_truth(kind):
    predictions = make_predictions()
    votes = predictions.votes
    assert votes
    truth = {"majority": votes.majority, "label": votes.given}[kind]
    chosen = truth >= 0
    scores = vote_scores.score_votes(predictions)
    assert scores
    found = scores[kind]
    assert 0 < found["images"] == chosen.sum() < len(truth)
    args = truth[chosen], predictions.predicted[chosen]
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(*args))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(*args, average="macro"))
    both = (votes.majority >= 0) & (votes.given >= 0)
    args = truth[both], predictions.predicted[both]
    assert scores["both"][kind]["accuracy"] == pytest.approx(metrics.accuracy_score(*args))


def test_cross_entropy_and_calibration_by_hand():
    predictions = make_predictions()
    assert predictions.votes
    entropies, losses, bins = [], [], {}
    for shares, row in zip(
        predictions.votes.distribution.tolist(), predictions.probabilities.tolist(), strict=True
    ):
        if sum(shares) == 0:
            continue
        losses.append(sum(-q * np.log(p) for q, p in zip(shares, row, strict=True) if q))
        entropies.append(sum(-q * np.log(q) for q in shares if q))
        place = int(np.ceil(max(row) * 15))
        bins.setdefault(place, []).append(max(row) - shares[row.index(max(row))])
    found = vote_scores.score_votes(predictions)["distribution"]  # pyright: ignore
    assert found["images"] == len(losses) == 199
    assert found["cross_entropy"] == pytest.approx(np.mean(losses), rel=1e-6)
    assert found["entropy"] == pytest.approx(np.mean(entropies), rel=1e-5)
    error = sum(abs(sum(gaps)) for gaps in bins.values()) / len(losses)
    assert found["calibration_error"] == pytest.approx(error, rel=1e-5)
    assert found["cross_entropy"] > found["entropy"]


def test_conflicts_are_counted_by_side():
    predictions = make_predictions()
    votes = predictions.votes
    assert votes
    found = vote_scores.score_votes(predictions)["conflicts"]  # pyright: ignore
    rows = [
        (given, majority, predicted)
        for given, majority, predicted in zip(
            votes.given, votes.majority, predictions.predicted, strict=True
        )
        if -1 not in (given, majority) and given != majority
    ]
    assert found["images"] == len(rows)
    assert found["majority"] == sum(majority == predicted for _, majority, predicted in rows)
    assert found["label"] == sum(given == predicted for given, _, predicted in rows)
    assert found["neither"] == len(rows) - found["majority"] - found["label"]
    listed = conflicts.list_conflicts(predictions)
    assert sum(group["count"] for group in listed) == len(rows)
    for group in listed:
        confidences = [image["probability"] for image in group["images"]]
        assert confidences == sorted(confidences, reverse=True)
        for image in group["images"]:
            sides = {image["majority"]: "the votes", image["given"]: "the label"}
            assert sides.get(image["predicted"], "neither") == group["side"]


def test_slices_by_agreement_hold_every_image_once():
    predictions = make_predictions()
    assert predictions.votes
    grouping = vote_scores.group_by_agreement(predictions.votes)
    counts = np.round(predictions.votes.agreement * 10).astype(int)
    expected = {"all agree": counts == 10, "80% or more": (counts >= 8) & (counts < 10),
                "60% or more": (counts >= 6) & (counts < 8),
                "less than 60%": (counts < 6) & (counts > 0)}  # fmt: skip
    names = np.array(grouping.names)
    for name, chosen in expected.items():
        np.testing.assert_array_equal(names == name, chosen, err_msg=name)
    assert names[0] == "unknown"


@pytest.mark.usefixtures("plain_figures")
def test_the_report_has_the_votes(tmp_path):
    predictions = make_predictions()
    summary = {"arch": "mobilenet", "variant": 9}
    page = report.write(
        tmp_path / "report", split="test", predictions=predictions, history=[], summary=summary
    )
    text = page.read_text()
    assert "Votes and labels" in text
    assert "The network agrees with the votes" in text
    stored = json.loads((page.parent / "votes.json").read_text())
    assert stored == vote_scores.score_votes(predictions)
    header, first = (page.parent / "predictions.csv").read_text().splitlines()[:2]
    assert "given_label,majority,votes_angry,votes_happy,votes_neutral,source_path" in header
    assert len(first.split(",")) == len(header.split(","))


def test_without_votes_nothing_is_said():
    predictions = make_predictions()
    plain = Predictions(
        predictions.probabilities, predictions.labels, predictions.paths, predictions.images,
        CLASSES,
    )  # fmt: skip
    assert vote_scores.score_votes(plain) is None
    assert vote_scores.describe(plain) == []
    assert conflicts.list_conflicts(plain) == []
