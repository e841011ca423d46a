"""VGG16 equals that of keras.applications, with every kind of weights."""

from typing import Any

import jax
import numpy as np
import pytest
from flax import traverse_util

from faceemo import models
from faceemo.assets import catalogue
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models import preprocessing
from faceemo.models.weights import keras_h5

pytestmark = pytest.mark.slow


def assert_close(ours, keras):
    """Checks that the difference is at most 1e-4 of the largest value."""
    np.testing.assert_allclose(ours, keras, rtol=0, atol=1e-4 * np.abs(keras).max())


@pytest.fixture(scope="module")
def variables():
    """Random variables for 48 px with the extra layer; the backbone's fit every size."""
    return models.build(make_config("vgg16", "7,image_size=48")).init(0)


@pytest.mark.parametrize("size", [32, 48, 75, pytest.param(224, marks=pytest.mark.slow)])
@pytest.mark.parametrize("file", ["backbone.h5", "backbone.weights.h5"])
def test_features_equal_keras(oracle, variables, size, file):
    model = models.build(make_config("vgg16", f"7,image_size={size}"))
    loaded, expected_preprocessing, source = models.load_weights(
        model, variables, str(oracle.folder / file)
    )
    features, _ = jax.jit(model.features)(loaded["params"], {}, oracle.results[f"inputs{size}"])
    assert features.shape == (3, size // 32, size // 32, 512)
    assert_close(features, oracle.results[f"features{size}"])
    assert expected_preprocessing == preprocessing.BGR_MEAN
    assert source["source"].endswith(file)
    assert len(source["sha256"]) == 64


def read_whole(model, path):
    """Reads the parameters of a model from a file that also holds its head."""
    expected = {}
    for part in model.shapes()["params"].values():
        flat: dict[str, Any] = traverse_util.flatten_dict(part, sep="/")
        expected |= {n: leaf.shape for n, leaf in flat.items()}
    arrays = traverse_util.unflatten_dict(keras_h5.read(path, expected), sep="/")
    blocks = {name: arrays.pop(name) for name in list(arrays) if name.startswith("block")}
    return {"backbone": blocks, "head": arrays}


@pytest.mark.parametrize(
    ("size", "extra", "file"),
    [
        (48, True, "whole48.h5"),
        (75, False, "whole75.weights.h5"),
        (75, False, "whole75.h5"),
    ],
)
def test_whole_model_equals_keras(oracle, size, extra, file):
    model = models.build(make_config("vgg16", f"7,image_size={size},extra_dense={extra}"))
    params = read_whole(model, oracle.folder / file)
    logits, statistics = jax.jit(model.apply)(params, {}, oracle.results[f"inputs{size}"])
    assert logits.shape == (3, 4)
    assert logits.dtype == np.float32
    assert statistics == {}
    assert_close(logits, oracle.results[f"logits{size}"])


def test_hed_is_a_vgg16_with_its_own_preprocessing(oracle, variables):
    model = models.build(make_config("vgg16", "7,image_size=48"))
    loaded, expected_preprocessing, source = models.load_weights(model, variables, "hed")
    features, _ = model.features(loaded["params"], {}, oracle.results["inputs48"])
    assert_close(features, oracle.results["features_hed"])
    assert expected_preprocessing == preprocessing.HED
    assert source == {"source": "hed", "sha256": catalogue.HED_SHA256}
    # The same file has the same preprocessing when it is given by its path.
    _, by_path, _ = models.load_weights(model, variables, str(catalogue.fetch("vgg16.hed")))
    assert by_path == preprocessing.HED


def test_only_the_backbone_is_loaded(oracle, variables):
    model = models.build(make_config("vgg16", "7,image_size=48"))
    loaded, _, _ = models.load_weights(model, variables, str(oracle.folder / "backbone.h5"))
    assert jax.tree.structure(loaded) == jax.tree.structure(variables)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), loaded["params"], variables["params"])
    assert all(jax.tree.leaves(same["head"]))
    assert not any(jax.tree.leaves(same["backbone"]))
    with pytest.raises(UserError, match=r"fc1/kernel .* is left over"):
        models.load_weights(model, variables, str(oracle.folder / "whole48.h5"))


def test_weights_none_and_a_missing_file(variables):
    model = models.build(make_config("vgg16", "7,image_size=48"))
    loaded, expected_preprocessing, source = models.load_weights(model, variables, "none")
    assert loaded is variables
    assert expected_preprocessing == model.preprocessing
    assert source == {"source": "none", "sha256": None}
    with pytest.raises(UserError, match=r"nowhere\.h5"):
        models.load_weights(model, variables, "nowhere.h5")


def test_bfloat16_rounds_features_but_not_parameters_and_logits(oracle, variables):
    exact = models.build(make_config("vgg16", "7,image_size=48"))
    coarse = models.build(make_config("vgg16", "7,image_size=48,dtype=bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(coarse.shapes())} == {np.dtype("float32")}
    inputs = oracle.results["inputs48"]
    expected, _ = exact.features(variables["params"], {}, inputs)
    features, _ = coarse.features(variables["params"], {}, inputs)
    assert features.dtype == jax.numpy.bfloat16
    error = np.abs(np.asarray(features, np.float32) - expected).max() / np.abs(expected).max()
    assert 1e-4 < error < 0.05
    logits, _ = coarse.apply(variables["params"], {}, inputs)
    assert logits.dtype == np.float32
