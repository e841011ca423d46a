"""Predictions restricted to some of a network's classes, against the same by hand."""

import csv
import io

import numpy as np
import pytest

import faceemo
from faceemo.commands import cli
from faceemo.errors import UserError
from tests.support.data.faces import face

SOME = ["surprise", "happy"]


def test_probabilities_are_those_of_the_whole_network_renormalised(network, network_predictor):
    faces = np.stack([face(seed) for seed in range(5)])
    whole = network_predictor.probabilities(faces)
    index = [network_predictor.classes.index(label) for label in SOME]
    expected = whole[:, index] / whole[:, index].sum(axis=1, keepdims=True)
    restricted = faceemo.load(network, classes=SOME)
    assert list(restricted.classes) == SOME
    np.testing.assert_allclose(restricted.probabilities(faces), expected, atol=2e-6)
    (first, *_) = restricted.predict(list(faces), crops=True)
    assert list(first.probabilities) == SOME
    assert sum(first.probabilities.values()) == pytest.approx(1)


def test_the_command_predicts_only_these_classes(network, photos, capsys):
    command = ["predict", str(network), str(photos / "wall.png"), "--crops", "--format", "csv"]
    assert cli.main([*command, "--classes", "surprised+happiness"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert {"surprise", "happy"} <= set(row)
    assert not {"sad", "neutral"} & set(row)


@pytest.mark.parametrize("classes", [["happy"], ["happy", "happy"], ["happy", "bored"], []])
def test_other_classes_are_refused(network, classes):
    with pytest.raises(UserError, match=r"two or more different classes of the network: happy\+"):
        faceemo.load(network, classes=classes)
