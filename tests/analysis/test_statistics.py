import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from faceemo.analysis.statistics import wilson_interval


@given(st.data())
def test_wilson_is_scipys(data):
    total = data.draw(st.integers(1, 20_000))
    successes = data.draw(st.integers(0, total))
    confidence = data.draw(st.sampled_from([0.5, 0.9, 0.95, 0.99]))
    oracle = binomtest(successes, total).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(successes, total, confidence)
    assert (low, high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert 0 <= low <= successes / total <= high <= 1


def test_the_published_test_result():
    """100 right of 126, the size of the original's test set (computed by hand)."""
    low, high = wilson_interval(100, 126)
    assert (round(low, 4), round(high, 4)) == (0.7148, 0.8551)


@pytest.mark.parametrize("arguments", [(0, 0), (-1, 5), (6, 5), (1, 5, 1.0), (1, 5, 0.0)])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(*arguments)
