"""Preprocessing equals Keras's, for grey and for colour images."""

import json

import jax
import numpy as np
import pytest

from faceemo.models import preprocessing
from faceemo.models.preprocessing import Preprocessing, preprocess


@pytest.mark.slow  # it starts Keras
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vgg16", preprocessing.BGR_MEAN),
        ("resnet_v2", preprocessing.PLUS_MINUS_ONE),
        ("efficientnet", preprocessing.IDENTITY),
    ],
)
def test_preprocess_equals_keras(pieces, name, settings):
    ours = preprocess(pieces.results["pixels"], settings)
    np.testing.assert_allclose(ours, pieces.results[f"preprocessed/{name}"], rtol=0, atol=2e-5)


def test_hed_subtracts_its_own_mean_from_blue_green_red():
    pixel = np.float32([[[[10, 20, 30]]]])
    expected = np.float32([30 - 104.00699, 20 - 116.66877, 10 - 122.67892])
    np.testing.assert_allclose(preprocess(pixel, preprocessing.HED)[0, 0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("settings", [preprocessing.HED, preprocessing.PLUS_MINUS_ONE])
def test_grey_equals_colour_with_three_equal_channels(settings):
    grey = np.random.default_rng(0).uniform(0, 255, (2, 5, 5)).astype(np.float32)
    colour = np.repeat(grey[..., None], 3, axis=-1)
    expected = preprocess(colour, settings)
    assert expected.shape == (2, 5, 5, 3)
    np.testing.assert_array_equal(preprocess(grey, settings), expected)
    np.testing.assert_array_equal(preprocess(grey[..., None], settings), expected)
    compiled = jax.jit(preprocess, static_argnums=1)(grey, settings)
    np.testing.assert_allclose(compiled, expected, atol=1e-5)


def test_json_keeps_preprocessing():
    settings = preprocessing.HED
    restored = Preprocessing.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert restored == settings
    assert hash(restored) == hash(settings)
