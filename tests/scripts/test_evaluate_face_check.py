"""Tests of the tables of scripts/evaluate_face_check.py."""

import numpy as np
import pytest

from tests.support.data.faces import face
from tests.support.places import SCRIPTS


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import evaluate_face_check

    return evaluate_face_check


def test_accuracy_at_a_coverage_counts_the_most_probable_faces_of_all(script, capsys):
    sure = [script.Answer("ok", 0.99 - number / 100, number != 1) for number in range(5)]
    doubted = [script.Answer("unsure", 0.995 - number / 100, False) for number in range(5)]
    before = [one._replace(status="ok") for one in sure + doubted]
    script.print_coverage({"as they are": {"without": before, "with": sure + doubted}})
    rows = [
        line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if "check" in line
    ]
    shares = [f"{share:.1f}" for share in script._COVERAGES]
    cells = {
        row[0].strip(): dict(zip(shares, map(str.strip, row[1:]), strict=True)) for row in rows
    }
    # by probability: doubted, sure (right), doubted, sure (wrong), doubted, sure (right), ...
    assert cells["as they are, without the check"]["0.4"] == "0.250"
    assert cells["as they are, with the check"]["0.4"] == "0.750"  # the four of the sure ones
    assert cells["as they are, with the check"]["0.5"] == "0.800"
    assert cells["as they are, with the check"]["0.6"] == "–"


def test_damaged_faces_are_what_their_names_say(script):
    damages = script.make_damages()
    crop = face(1)
    damaged = {name: damage(crop) for name, damage in damages.items()}
    np.testing.assert_array_equal(damaged["as they are"], crop)
    np.testing.assert_array_equal(damaged["turned by 180 degrees"], crop[::-1, ::-1])
    assert damaged["reduced to 20 pixels"].shape == (20, 20)
    assert damaged["turned by 45 degrees"].shape == crop.shape
    softer = [
        np.abs(np.diff(damaged[f"blurred, sigma {sigma}"].astype(int))).mean()
        for sigma in (1, 1.5, 2)
    ]
    assert softer == sorted(softer, reverse=True)
