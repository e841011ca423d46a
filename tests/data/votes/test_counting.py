"""What votes say, against brute force over the annotators and figures of FER+."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceemo.data.votes import counting
from faceemo.data.votes.arrays import make_votes

NAMES = ("neutral", "happiness", "surprise", "unknown", "NF")
COUNTS = st.lists(st.integers(0, 6), min_size=5, max_size=5).map(
    lambda counts: dict(zip(NAMES, counts, strict=True))
)


def list_annotators(counts):
    """Returns the name that each annotator voted for."""
    return [name for name, count in counts.items() for _ in range(count)]


@given(COUNTS)
def test_the_majority_is_more_than_half_of_the_votes_that_are_not_single(counts):
    annotators = list_annotators(counts)
    counted = [name for name in annotators if annotators.count(name) > 1]
    opinion = counting.form_opinion(counts)
    winners = [name for name in NAMES if counted.count(name) > len(counted) / 2]
    assert ([opinion.leading] if opinion.majority else []) == winners
    most = max((counted.count(name) for name in NAMES), default=0)
    assert opinion.leading == next((n for n in NAMES if most and counted.count(n) == most), "")


@given(COUNTS)
def test_agreement_of_one_annotator_with_the_others(counts):
    annotators = list_annotators(counts)
    if len(annotators) < 2:
        assert np.isnan(counting.human_agreement(counts))
        return
    agreed = []
    for index, own in enumerate(annotators):
        others = annotators[:index] + annotators[index + 1 :]
        most = max(map(others.count, others))
        modes = [name for name in set(others) if others.count(name) == most]
        agreed.append((own in modes) / len(modes))
    assert counting.human_agreement(counts) == pytest.approx(np.mean(agreed), abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "stays"),  # for majority in train, in test; for distribution in train, in test
    [
        ({"neutral": 6, "sadness": 4}, (True, True, True, True)),
        ({"neutral": 5, "sadness": 5}, (False, False, True, False)),
        ({"neutral": 5, "sadness": 4, "fear": 1}, (True, True, True, True)),
        ({"neutral": 4, "sadness": 1, "unknown": 5}, (False, False, False, False)),
        ({"NF": 10}, (False, False, False, False)),
        ({"neutral": 1, "sadness": 1}, (False, False, False, False)),
        (None, (False, False, False, False)),
    ],
)
def test_images_on_which_the_votes_do_not_agree_are_left_out(counts, stays):
    asked = list(itertools.product(("majority", "distribution"), ("train", "test")))
    found = [counting.find_objection(counts, split, targets) for targets, split in asked]
    assert tuple(not reason for reason in found) == stays
    assert found == [counting.find_objection(counts, *pair[::-1]) for pair in asked]
    assert not counting.find_objection(counts, "test", "label")


def test_a_reason_names_the_votes():
    reason = counting.find_objection({"sadness": 2, "NF": 8}, "train", "majority")
    assert reason == "the votes say that it is not a face: 8 NF, 2 sadness"


def test_arrays_of_a_split():
    votes = make_votes(
        [
            {"neutral": 4, "anger": 5, "fear": 1},
            {"happiness": 10},
            {"fear": 9, "neutral": 1},
            None,
        ],
        ["sad", "happy", "angry", None],
        ("angry", "happy", "neutral"),
    )
    np.testing.assert_allclose(
        votes.distribution, [[5 / 9, 0, 4 / 9], [0, 1, 0], [0, 0, 0], [0, 0, 0]], rtol=1e-6
    )
    assert votes.majority.tolist() == [0, 1, -1, -1]  # fear has it, and is no class
    np.testing.assert_allclose(votes.agreement, [0.5, 1, 0.9, 0], rtol=1e-6)
    assert votes.given.tolist() == [-1, 1, 0, -1]
