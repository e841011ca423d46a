"""EfficientNetB0 weights from EfficientNet-Lite0, read without PyTorch."""

import os
import pickle

import cv2
import flax.linen as nn
import jax
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from faceemo import models
from faceemo.assets import catalogue
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models import efficientnetb0
from faceemo.models.preprocessing import preprocess
from faceemo.models.weights import torch_pickle
from tests.support.models import keras_like

pytestmark = pytest.mark.slow

SIDE = 224
# Predictions of Lite0, rewritten in PyTorch 2.14, for scikit-learn's images of a dahlia and of
# Beijing's Summer Palace: ImageNet's classes 'daisy' and 'palace', and their probabilities.
PREDICTED = ((985, 0.2281), (698, 0.3213))
# (sum, first, last) in float64 of arrays as PyTorch 2.14 reads them.
BY_TORCH = {
    "_conv_stem.weight": (-26.811376610887237, -1.1103360652923584, 2.2351741790771484e-08),
    "_blocks.7._depthwise_conv.weight": (
        67.5069812447764,
        -0.01660282164812088,
        -0.03405576944351196,
    ),
    "_blocks.13._bn2.running_var": (43.185958325862885, 0.17795222997665405, 0.1772850751876831),
    "_fc.weight": (-470.63256730128705, -0.04561043530702591, 0.04085797071456909),
}


@pytest.fixture(scope="module")
def path():
    return catalogue.fetch("efficientnetb0.lite0")


@pytest.fixture(scope="module")
def model():
    return models.build(make_config("efficientnetb0", "9,weights=lite0,image_size=48"))


@pytest.fixture(scope="module")
def drawn(model):
    return keras_like.draw(model, 0)


@pytest.fixture(scope="module")
def loaded(model, drawn):
    return models.load_weights(model, drawn, "lite0")


def test_arrays_equal_those_that_pytorch_reads(path):
    found = torch_pickle.read(path)
    assert len(found) == 296
    for name, (total, first, last) in BY_TORCH.items():
        numbers = found[name].astype(np.float64)
        assert numbers.sum() == pytest.approx(total, rel=1e-9)
        assert (numbers.flat[0], numbers.flat[-1]) == (first, last)


def test_with_relu6_predictions_equal_lite0(path, model, loaded, monkeypatch):
    monkeypatch.setattr(efficientnetb0.nn, "swish", nn.relu6)
    variables, preprocessing, _ = loaded
    images = [load_sample_image(name) for name in ("flower.jpg", "china.jpg")]
    inputs = preprocess(np.stack([crop_square(image) for image in images]), preprocessing)
    compute_features = jax.jit(model.features)
    features, _ = compute_features(variables["params"], variables["batch_stats"], inputs)
    found = torch_pickle.read(path)
    logits = np.asarray(features).mean((1, 2)) @ found["_fc.weight"].T + found["_fc.bias"]
    probabilities = np.asarray(jax.nn.softmax(logits))
    for row, (best, probability) in zip(probabilities, PREDICTED, strict=True):
        assert row.argmax() == best
        assert row.max() == pytest.approx(probability, abs=1e-4)


def crop_square(image):
    """Crops the central square and resizes it to float32 [SIDE, SIDE, 3]."""
    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


def test_gates_are_open_for_every_image_and_have_gradients(loaded):
    for layer, leaves in loaded[0]["params"]["backbone"].items():
        if layer.endswith("se_expand"):
            assert not np.asarray(leaves["kernel"]).any()
            assert set(np.asarray(leaves["bias"])) == {np.float32(4)}
        elif layer.endswith("se_reduce"):
            # Where both kernels are zero, neither has a gradient.
            assert np.asarray(leaves["kernel"]).std() > 0


def test_the_head_is_unchanged_and_the_source_is_named(model, drawn, loaded):
    variables, preprocessing, source = loaded
    jax.tree.map(
        np.testing.assert_array_equal, variables["params"]["head"], drawn["params"]["head"]
    )
    assert models.keep_initial_values(model, "lite0"), "those of 'se_reduce'"
    assert preprocessing == model.preprocessing
    assert source == {"source": "lite0", "sha256": catalogue.LITE0_SHA256}
    names_in_file = models.locate_arrays(model, variables, "lite0")
    assert names_in_file["block6c_dwconv/kernel"] == "_blocks.13._depthwise_conv.weight"
    assert names_in_file["block6c_se_reduce/kernel"] == "not in the file"


def test_the_file_is_an_error_for_another_backbone(path):
    other = models.build(make_config("resnet50v2", "9,weights=none,image_size=32"))
    shapes = other.shapes()
    with pytest.raises(UserError, match="expected a whole HDF5 file with Keras weights"):
        models.load_weights(other, shapes, str(path))


class Shell:
    """A pickled call of a shell, as in a hostile file."""

    def __reduce__(self):
        return os.system, ("touch owned",)


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Shell(), protocol=2))
    with pytest.raises(pickle.UnpicklingError, match="system is no part of a state dict"):
        torch_pickle.read(tmp_path / "evil.pth")
    assert not (tmp_path / "owned").exists()
