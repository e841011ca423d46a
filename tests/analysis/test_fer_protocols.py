"""Protocols of FER2013 and FER+, compared with scikit-learn and with the rules as published."""

import numpy as np
import pytest
from sklearn import metrics

from faceemo.analysis import fer_protocols
from faceemo.analysis.fer_protocols import PROTOCOLS
from faceemo.data.ledger.ledger import KEPT, Row
from faceemo.errors import UserError

MAJORITY_8, PLURALITY_7, MAJORITY_4, LABELS_7 = PROTOCOLS
EIGHT = MAJORITY_8.classes
# FER+'s columns, in its order
COLUMNS = (*EIGHT, "unknown", "NF")


def make_row(number, votes, given="sad"):
    counts = dict(zip(COLUMNS, votes, strict=True))
    return Row(
        path=f"test/{given}/{number}.png",
        sha256="",
        bytes=0,
        split="test",
        label=given,
        given_label=given,
        votes={name: count for name, count in counts.items() if count},
        mode="L",
        width=48,
        height=48,
        fate=KEPT,
        reason="",
    )


def make_rows(count=300, seed=0):
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet((0.3,) * len(COLUMNS), count)
    return [
        make_row(n, rng.multinomial(10, chance).tolist(), EIGHT[n % 7])
        for n, chance in enumerate(chances)
    ]


def make_probabilities(rows, classes, seed=1):
    draws = np.random.default_rng(seed).dirichlet((0.5,) * len(classes), len(rows))
    return draws.astype(np.float32)


# neutral happy surprise sad angry disgust fear contempt unknown NF
@pytest.mark.parametrize(
    ("votes", "majority", "plurality"),
    [
        ((6, 4, 0, 0, 0, 0, 0, 0, 0, 0), "neutral", "neutral"),
        ((5, 5, 0, 0, 0, 0, 0, 0, 0, 0), "", "neutral"),  # half is no majority; the first of equals
        ((4, 1, 1, 1, 1, 1, 1, 0, 0, 0), "neutral", "neutral"),  # single votes do not count
        ((3, 0, 0, 2, 0, 0, 2, 0, 0, 0), "", "neutral"),
        ((0, 0, 0, 4, 0, 0, 0, 0, 6, 0), "unknown", "unknown"),
        ((0, 0, 0, 2, 0, 0, 0, 8, 0, 0), "contempt", "contempt"),
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), "", "neutral"),
    ],
)
def test_majority_and_plurality_follow_their_rules(votes, majority, plurality):
    row = make_row(0, votes)
    assert fer_protocols.find_majority(row) == majority
    assert fer_protocols.find_plurality(row) == plurality


def test_images_without_votes_have_only_their_label():
    row = make_row(0, (0,) * 10, given="fear")
    found = [protocol.find_label(row) for protocol in PROTOCOLS]
    assert found == ["", "", "", "fear"]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.title)
def test_scores_equal_scikit_learn_on_the_images_and_classes_of_the_protocol(protocol):
    rows = make_rows()
    classes = tuple(reversed(EIGHT))  # another order than the protocol's
    probabilities = make_probabilities(rows, classes)
    predictions = fer_protocols.apply(protocol, probabilities, classes, rows)
    counted = [row for row in rows if protocol.find_label(row) in protocol.classes]
    assert predictions.paths == tuple(row.path for row in counted)
    assert 0 < len(counted) <= len(rows)
    best = []
    for row, shares in zip(rows, probabilities, strict=True):
        if row in counted:
            allowed = {c: p for c, p in zip(classes, shares, strict=True) if c in protocol.classes}
            best.append(max(allowed, key=lambda name: allowed[name]))
    truth = [protocol.find_label(row) for row in counted]
    scores = fer_protocols.score(predictions)
    assert scores["images"] == len(counted)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, best))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, best, average="macro"))
    np.testing.assert_allclose(predictions.probabilities.sum(1), 1, rtol=1e-6)


def test_restriction_keeps_the_ratios_of_probabilities():
    rows = make_rows()
    probabilities = make_probabilities(rows, EIGHT)
    kept = fer_protocols.apply(MAJORITY_4, probabilities, EIGHT, rows)
    chosen = [n for n, row in enumerate(rows) if f"{row.path}" in kept.paths]
    columns = [EIGHT.index(name) for name in MAJORITY_4.classes]
    whole = probabilities[np.ix_(chosen, columns)].astype(np.float64)
    np.testing.assert_allclose(
        kept.probabilities, whole / whole.sum(1, keepdims=True), rtol=1e-5, atol=1e-7
    )


def test_a_network_of_four_classes_lacks_those_of_the_other_protocols():
    four = ("happy", "neutral", "sad", "surprise")
    lacking = [fer_protocols.lacking_classes(protocol, four) for protocol in PROTOCOLS]
    assert lacking[0] == ["angry", "disgust", "fear", "contempt"]
    assert lacking[1] == lacking[3] == ["angry", "disgust", "fear"]
    assert lacking[2] == []
    assert not fer_protocols.lacking_classes(LABELS_7, ("Anger", *EIGHT[:4], "disgust", "fear"))


def test_no_image_that_counts_is_an_error():
    row = make_row(0, (0, 0, 0, 0, 0, 0, 0, 0, 9, 1))
    with pytest.raises(UserError, match="at least one image"):
        fer_protocols.apply(PLURALITY_7, make_probabilities([row], EIGHT), EIGHT, [row])


def test_a_class_that_the_network_does_not_know_is_never_predicted():
    rows = [make_row(n, np.eye(10, dtype=int)[column] * 9) for n, column in enumerate((7, 3, 1))]
    seven = ("sad", "happy", "neutral", "surprise", "angry", "disgust", "fear")
    given = np.array([[0.5, 0.2, 0.1, 0.05, 0.05, 0.05, 0.05]] * 3, np.float32)
    found = fer_protocols.apply(MAJORITY_8, given, seven, rows)
    assert len(found.labels) == 3
    scores = fer_protocols.score(found)
    assert scores["accuracy"] == pytest.approx(1 / 3)
    contempt = EIGHT.index("contempt")
    assert found.probabilities[:, contempt].max() < 1e-30
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-6)
