"""Grad-CAM against Keras on the same weights, by hand on a toy, and in closed form for pooling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo import models
from faceemo.analysis.saliency import gradcam
from faceemo.config import make_config
from faceemo.train.eval_step import plain_inputs
from tests.support import keras_process
from tests.support.models import keras_like, small_head
from tests.support.places import SUPPORT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    """Returns Keras's heat and the weights behind it."""
    path = tmp_path_factory.mktemp("gradcam") / "results.npz"
    keras_process.run(SUPPORT / "analysis" / "keras_gradcam.py", path)
    with np.load(path) as results:
        return dict(results)


@pytest.fixture
def narrow(monkeypatch):
    small_head.replace_vgg16(monkeypatch)


def variables_of(keras):
    params = {"backbone": {}, "head": {}}
    for name, array in keras.items():
        layer, _, weight = name.partition("/")
        if weight:
            part = "backbone" if layer.startswith("block") else "head"
            params[part].setdefault(layer, {})[weight] = array
    return {"params": params, "batch_stats": {}}


@pytest.mark.parametrize("unfreeze", ["0", "all"])
def test_vgg16_agrees_with_keras_frozen_or_not(keras, unfreeze):
    """The images have the input's own size, so that only the network is compared."""
    model = models.build(make_config("vgg16", f"0,image_size=64,weights=none,unfreeze={unfreeze}"))
    heat = gradcam.make_heat(model, model.preprocessing, variables_of(keras))
    found = heat(keras["images"], keras["classes"])
    peaks = keras["heat"].max(axis=(1, 2), keepdims=True)
    assert found.shape == (5, 4, 4)
    assert (peaks > 0).sum() >= 3, "the comparison is not empty"
    expected = np.divide(keras["heat"], peaks, where=peaks > 0, out=np.zeros_like(keras["heat"]))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found.std() > 0.05


@pytest.mark.parametrize("arch", ["resnet50v2", "efficientnetb0", "mobilenet"])
def test_average_pooling_and_one_dense_layer_give_cam(arch):
    """With average pooling and one dense layer, Grad-CAM is that layer's column (Zhou's CAM)."""
    model = models.build(make_config(arch, "0,image_size=64,weights=none"))
    variables = keras_like.draw(model, 7)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 48, 48), dtype=np.uint8)
    classes = np.array([3, 0, 2])
    inputs = plain_inputs(images, model, model.preprocessing)
    params, batch_stats = variables["params"], variables["batch_stats"]
    last_map = np.asarray(jax.jit(model.last_map)(params, batch_stats, inputs))
    features, _ = jax.jit(model.features)(params, batch_stats, inputs)
    np.testing.assert_array_equal(last_map, features)
    columns = np.asarray(params["head"]["predictions"]["kernel"])[:, classes].T
    expected = np.maximum((last_map * columns[:, None, None]).sum(-1), 0)
    peaks = np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-30)
    found = gradcam.make_heat(model, model.preprocessing, variables)(images, classes)
    np.testing.assert_allclose(found, expected / peaks, atol=2e-4)


@pytest.mark.usefixtures("narrow")
def test_logits_from_the_last_map_equal_those_of_the_network():
    """VGG16 pools after its last map; the last maps of the others are the features tested above."""
    model = models.build(make_config("vgg16", "0,image_size=32,weights=none"))
    variables = keras_like.draw(model, 3)
    params, batch_stats = variables["params"], variables["batch_stats"]
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=(2, 32, 32, 3)), jnp.float32) * 50
    whole, _ = model.apply(params, batch_stats, inputs)
    halves = model.logits_from_map(params, model.last_map(params, batch_stats, inputs))
    np.testing.assert_allclose(whole, halves, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("narrow")
def test_positions_that_pooling_drops_have_no_heat():
    """At 48 pixels VGG16's map is 3 x 3, of which 2 x 2 reach the head."""
    model = models.build(make_config("vgg16", "0,image_size=48,weights=none"))
    heat = gradcam.make_heat(model, model.preprocessing, keras_like.draw(model, 5))
    images = np.random.default_rng(1).integers(0, 256, (8, 48, 48), dtype=np.uint8)
    found = heat(images, np.arange(8) % 4)
    assert found.shape == (8, 3, 3)
    assert (found[:, :2, :2].max(axis=(1, 2)) == 1).any()
    np.testing.assert_array_equal(found[:, 2], 0)
    np.testing.assert_array_equal(found[:, :, 2], 0)


def test_toy_network_agrees_with_calculation_by_hand():
    """logit_0 = a^2 + 3 b, at one position each; logit_1 = -b everywhere."""
    last_map = np.zeros((2, 2, 2, 2), np.float32)
    last_map[:, 0, 0] = [2, 1]
    last_map[:, 1, 1] = [0, 5]

    def logits(values):
        first = values[:, 0, 0, 0] ** 2 + 3 * values[:, 1, 1, 1]
        return jnp.stack([first, -values[..., 1].sum((1, 2))], axis=1)

    heat = gradcam.compute_heat(logits, jnp.asarray(last_map), jnp.array([0, 1]))
    # gradients of logit_0: 2 a = 4 at one of four positions of a, 3 at one of b: means 1 and 0.75
    expected = [[2 * 1 + 1 * 0.75, 0], [0, 5 * 0.75]]
    np.testing.assert_allclose(heat[0], expected)
    np.testing.assert_array_equal(heat[1], 0)  # all of b speaks against logit_1
    assert jax.eval_shape(lambda: heat).dtype == np.float32


@pytest.mark.usefixtures("narrow")
def test_images_do_not_mix_and_flat_maps_stay_flat():
    """There are more images than fit a batch, and none changes another's map."""
    model = models.build(make_config("vgg16", "0,image_size=32,weights=none"))
    variables = keras_like.draw(model, 5)
    heat = gradcam.make_heat(model, model.preprocessing, variables)
    images = np.random.default_rng(1).integers(0, 256, (gradcam.BATCH + 3, 32, 32), dtype=np.uint8)
    classes = np.arange(len(images)) % 4
    together = heat(images, classes)
    alone = heat(images[-1:], classes[-1:])
    np.testing.assert_allclose(together[-1:], alone, atol=1e-5)
    assert together.min() >= 0
    assert set(np.unique(together.max(axis=(1, 2)).round(5))) <= {0.0, 1.0}


def test_colour_reaches_the_map_and_equal_channels_are_grey():
    model = models.build(make_config("mobilenet", "0,image_size=64,weights=none"))
    heat = gradcam.make_heat(model, model.preprocessing, keras_like.draw(model, 3), batch=3)
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    images, classes = np.stack([image] * 4), np.arange(4)
    found = heat(images, classes)
    assert found.max() == 1, "there is evidence for some class"
    assert not np.allclose(found, heat(images[..., ::-1], classes), atol=0.01)
    grey = images[..., 0]
    np.testing.assert_allclose(
        heat(np.repeat(grey[..., None], 3, -1), classes), heat(grey, classes), atol=1e-5
    )
