"""Agreement of panels of annotators, compared with exact probabilities."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from faceemo.analysis.fer_protocols import PROTOCOLS
from faceemo.analysis.panels import compare_panels
from tests.analysis.test_fer_protocols import make_row

MAJORITY_8, PLURALITY_7, *_ = PROTOCOLS
COPIES = 400  # rows with the same votes
NEUTRAL, SAD, UNKNOWN = 0, 3, 8  # places among FER+'s columns


def make_rows(*counts):
    """Makes rows with the same votes: pairs of a place and a number of votes."""
    votes = np.zeros(10, int)
    for place, count in counts:
        votes[place] = count
    return [make_row(number, votes.tolist()) for number in range(COPIES)]


def expect(chances, decide):
    """Computes the share of agreeing pairs exactly: {(votes for sad in one, in other): chance}."""
    both = {pair: chance for pair, chance in chances.items() if all(map(decide, pair))}
    agreeing = sum(chance for (a, b), chance in both.items() if decide(a) == decide(b))
    return agreeing / sum(both.values())


def decide_of(panel):
    """Says by hand which of two emotions has the majority, without single votes."""

    def decide(sad):
        sad, neutral = (0 if count == 1 else count for count in (sad, panel - sad))
        return "sad" if sad > neutral else "neutral" if neutral > sad else ""

    return decide


@pytest.mark.parametrize("sad", [6, 7, 9])
def test_halves_agree_as_often_as_counted_exactly(sad):
    rows = make_rows((NEUTRAL, 10 - sad), (SAD, sad))
    # Of ten annotators, of whom `sad` say sad, five are drawn.
    chances = {
        (one, sad - one): stats.hypergeom.pmf(one, 10, sad, 5)
        for one in range(max(0, sad - 5), min(5, sad) + 1)
    }
    expected = expect(chances, decide_of(5))
    assert compare_panels(rows, MAJORITY_8).halves == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("sad", [6, 7, 9])
def test_drawn_votes_agree_as_often_as_counted_exactly(sad):
    rows = make_rows((NEUTRAL, 10 - sad), (SAD, sad))
    chances = {(sad, new): stats.binom.pmf(new, 10, sad / 10) for new in range(11)}
    expected = expect(chances, decide_of(10))
    assert compare_panels(rows, MAJORITY_8).redrawn == pytest.approx(expected, abs=0.02)


def test_the_most_votes_are_a_class_where_there_is_no_majority():
    """Four neutral, three sad, three unknown: by the majority no image counts."""
    rows = make_rows((NEUTRAL, 4), (SAD, 3), (UNKNOWN, 3))
    votes = [NEUTRAL] * 4 + [SAD] * 3 + [UNKNOWN] * 3
    order = sorted(set(votes))

    def decide(panel):
        leading = max(order, key=lambda place: list(panel).count(place))
        return "" if leading == UNKNOWN else leading

    agreeing = counted = 0
    for chosen in itertools.combinations(range(10), 5):
        one, other = (
            decide([votes[place] for place in range(10) if (place in chosen) == inside])
            for inside in (True, False)
        )
        if one != "" and other != "":
            counted += 1
            agreeing += one == other
    found = compare_panels(rows, PLURALITY_7)
    assert found.halves == pytest.approx(agreeing / counted, abs=0.03)
    assert math.isnan(compare_panels(rows, MAJORITY_8).redrawn)


def test_images_without_votes_or_disagreement():
    assert math.isnan(compare_panels([], MAJORITY_8).halves)
    whole = compare_panels(make_rows((SAD, 10)), MAJORITY_8)
    assert (whole.halves, whole.redrawn) == (1, 1)
