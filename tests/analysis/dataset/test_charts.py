"""Distributions, scales and axes against the numbers that they are drawn from."""

import numpy as np
import pytest
from scipy import signal

from faceemo.analysis.dataset import charts, exploration


def test_ridges_have_equal_areas_and_true_medians():
    rng = np.random.default_rng(0)
    values = {
        "few": rng.normal(100, 20, 50),
        "many": rng.normal(150, 40, 5000),
        "none": np.array([]),
    }
    values["few"][:5] = np.nan
    rows, _ = charts.make_ridges(values, exploration._BRIGHTNESS)

    def area(row):
        heights = [100 - float(point.split(",")[1]) for point in row.points.split()[1:-1]]
        assert min(heights) >= 0
        assert max(heights) <= 100
        return sum(heights)

    few, many, none = rows
    assert area(few) == pytest.approx(area(many), rel=0.01)
    assert (few.count, many.count, none.count) == (45, 5000, 0)
    assert (area(none), none.median) == (0, None)
    assert many.median_place == pytest.approx(100 * np.median(values["many"]) / 255)


def heights(ridge):
    return np.array([100 - float(point.split(",")[1]) for point in ridge.points.split()[1:-1]])


def test_few_values_of_one_distribution_make_one_hump():
    """Chance must not look like structure, and two real groups of many values must stay two."""
    rng = np.random.default_rng(0)
    for count in (1, 3, 10, 40, 150):
        for _ in range(5):
            values = {name: rng.normal(120, 30, count) for name in "abcd"}
            rows, _ = charts.make_ridges(values, exploration._BRIGHTNESS)
            humps = [count_humps(heights(row)) for row in rows]
            assert np.mean(humps) <= 1.8, (count, humps)
    two = np.concatenate([rng.normal(60, 12, 3000), rng.normal(190, 12, 3000)])
    (row,), _ = charts.make_ridges({"two": two}, exploration._BRIGHTNESS)
    assert count_humps(heights(row)) == 2


def count_humps(values):
    """Counts the local maxima that stand out by a tenth of the highest value."""
    return len(signal.find_peaks(np.pad(values, 1), prominence=0.1 * values.max())[0])


def test_confidence_scale_spreads_both_ends():
    places = {label: place for place, label in exploration._CONFIDENCE.marks()}
    assert list(places) == [".01", ".1", ".5", ".9", ".99", ".999", ".9999"]
    assert places[".99"] - places[".9"] == pytest.approx(places[".1"] - places[".01"])
    assert exploration._CONFIDENCE.place(np.array([0.0, 1.0])).tolist() == [0, 100]


@pytest.mark.parametrize(("share", "end"), [(0.237, 0.3), (0.3, 0.3), (0.0, 0.001), (0.011, 0.02)])
def test_round_up_is_round_and_not_below(share, end):
    assert charts.round_up([share]) == pytest.approx(end)
