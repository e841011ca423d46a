"""An error about missing weights names what can be had in their place."""

import pytest

from faceemo.assets import catalogue
from faceemo.models.weights import pretrained


@pytest.fixture
def alternative(tmp_path, monkeypatch):
    """Returns the advice that goes with missing weights; the cache is an empty folder."""
    monkeypatch.setenv("FACEEMO_CACHE", str(tmp_path))
    monkeypatch.setattr(catalogue, "fetch", lambda name, alternative: alternative)
    return lambda arch, weights: pretrained._find_file(arch, weights)[0]


def test_the_other_weights_of_the_network_are_named(alternative, tmp_path):
    said = alternative("vgg16", "imagenet")
    assert said.startswith("give the path of the file as weights=PATH, or start from weights=hed (")
    assert said.endswith("or weights=none (random; needs no download)")
    assert "in the cache" not in said
    (tmp_path / catalogue.ASSETS["vgg16.hed"].filename).touch()
    assert "edges; from the Python package index; already in the cache)" in alternative(
        "vgg16", "imagenet"
    )
    said = alternative("mobilenet", "faceres")
    assert "weights=builtin (those of faceemo's own network" in said
    assert "FER2013; needs no download)" in said
    assert alternative("resnet50v2", "imagenet").endswith(
        "or start from weights=none (random; needs no download)"
    )
