"""Intervals and tests against SciPy, statsmodels, scikit-learn and published examples."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binomtest
from sklearn import metrics
from statsmodels.stats import contingency_tables, proportion, weightstats

from faceemo.analysis.statistics import (
    PairedCounts,
    f1_interval,
    macro_f1_interval,
    summarize_seeds,
    wilson_interval,
)


@given(st.data())
def test_wilson_interval_agrees_with_scipy(data):
    total = data.draw(st.integers(1, 20_000))
    successes = data.draw(st.integers(0, total))
    confidence = data.draw(st.sampled_from([0.5, 0.9, 0.95, 0.99]))
    oracle = binomtest(successes, total).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(successes, total, confidence)
    assert (low, high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert 0 <= low <= successes / total <= high <= 1


def test_wilson_interval_of_the_published_result():
    """The original's test set: 100 right of 126 (computed by hand)."""
    low, high = wilson_interval(100, 126)
    assert (round(low, 4), round(high, 4)) == (0.7148, 0.8551)


@pytest.mark.parametrize("arguments", [(0, 0), (-1, 5), (6, 5), (1, 5, 1.0), (1, 5, 0.0)])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(*arguments)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_f1_interval_is_computed_from_jaccards_wilson_interval(right, missed, wrong):
    if right + missed + wrong == 0:
        return
    low, high = f1_interval(right, right + missed, right + wrong)
    ends = proportion.proportion_confint(right, right + missed + wrong, method="wilson")
    assert (low, high) == pytest.approx([2 * end / (1 + end) for end in ends], abs=1e-9)
    assert low <= 2 * right / (2 * right + missed + wrong) <= high


def test_f1_interval_has_its_nominal_coverage():
    """The true F1 is 0.6; 95% of 4,000 intervals hold it, within 1.5 points."""
    rng = np.random.default_rng(0)
    shares = [
        0.3,
        0.25,
        0.15,
        0.3,
    ]  # true positive, missed, wrongly predicted, neither: F1 = 0.6 / (0.6 + 0.4)
    inside = 0
    for right, missed, wrong, _ in rng.multinomial(60, shares, 4000):
        low, high = f1_interval(right, right + missed, right + wrong)
        inside += low <= 0.6 <= high
    assert inside / 4000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.slow
def test_macro_f1_interval_agrees_with_scipys_bootstrap():
    rng = np.random.default_rng(1)
    labels = rng.choice(4, 150, p=[0.5, 0.25, 0.2, 0.05])
    predicted = np.where(rng.random(150) < 0.6, labels, rng.integers(0, 4, 150))

    def score(labels, predicted):
        return metrics.f1_score(labels, predicted, average="macro", zero_division=0)

    oracle = stats.bootstrap(
        (labels, predicted), score, paired=True, vectorized=False, method="percentile",
        n_resamples=1500, rng=2,
    ).confidence_interval  # fmt: skip
    found = macro_f1_interval(metrics.confusion_matrix(labels, predicted), draws=6000)
    assert found == pytest.approx(tuple(oracle), abs=0.012)
    assert found[0] < score(labels, predicted) < found[1]


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_agrees_with_statsmodels(first, second):
    p, method = PairedCounts(100, first, second, 30).mcnemar()
    exact = first + second < 25
    table = [[100, first], [second, 30]]
    if first + second:
        oracle = contingency_tables.mcnemar(table, exact=exact, correction=True).pvalue
        # statsmodels corrects a difference of 0 to -1
        assert p == pytest.approx(1 if first == second else oracle, abs=1e-12)
    else:
        assert p == 1
    assert method.startswith("exact" if exact else "chi-squared")


def test_difference_of_matched_proportions():
    """Agresti's approval ratings: 944 of 1,600, later 880; a standard error of 0.0095."""
    gap, low, high = PairedCounts(both=794, first=150, second=86, neither=570).difference()
    assert (-gap, -high, -low) == pytest.approx((0.040, 0.040 - 0.0187, 0.040 + 0.0187), abs=2e-4)
    assert PairedCounts(0, 1, 0, 0).difference()[1] == -1
    reversed_counts = PairedCounts(both=794, first=86, second=150, neither=570).difference()
    assert reversed_counts == pytest.approx((-gap, -high, -low))


def test_interval_of_a_difference_has_its_nominal_coverage():
    rng = np.random.default_rng(0)
    inside = 0
    for counts in rng.multinomial(80, [0.6, 0.05, 0.15, 0.2], 4000):
        _, low, high = PairedCounts(*map(int, counts)).difference()
        inside += low <= 0.1 <= high
    assert inside / 4000 == pytest.approx(0.95, abs=0.015)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=8).filter(lambda all: len({*all}) > 1))
def test_summarize_seeds_agrees_with_scipy_and_statsmodels(millionths):
    values = [value / 10**6 for value in millionths]
    found = summarize_seeds(values)
    assert found.seeds == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.deviation == pytest.approx(statistics.stdev(values), abs=1e-12)
    oracle = weightstats.DescrStatsW(values).tconfint_mean()
    assert found.interval == pytest.approx(oracle, abs=1e-9)
    oracle = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.interval == pytest.approx((oracle.low, oracle.high), abs=1e-9)


@given(st.floats(0, 1), st.integers(2, 9))
def test_equal_seeds_have_no_interval(value, seeds):
    """Also if rounding makes the mean of equal values another number, as for three times 0.1."""
    found = summarize_seeds([value] * seeds)
    assert found.interval is None
    assert found.deviation == 0
    assert found.mean == pytest.approx(value)
    assert found.describe_interval() == f"no interval: {seeds} seeds gave the same value"


def test_the_interval_of_an_accuracy_ends_at_0_and_1():
    """Two seeds at 0.90 and 0.98: 12.7 times the standard error of 0.04 on either side of 0.94."""
    found = summarize_seeds([0.90, 0.98])
    assert found.interval == pytest.approx((0.94 - 0.5082, 0.94 + 0.5082), abs=1e-4)
    assert found.describe_interval() == "95% t interval of 2 seeds 0.432 to 1.000"


def test_one_seed_is_refused():
    with pytest.raises(ValueError, match="two seeds"):
        summarize_seeds([0.5])
