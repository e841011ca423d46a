"""Recalibrated statistics against NumPy's over the whole training set at once."""

import types

import jax
import jax.numpy as jnp
import numpy as np

from faceemo import models
from faceemo.config import make_config
from faceemo.data.augment.augment import enlarge
from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.layers import Mode
from faceemo.models.preprocessing import preprocess
from faceemo.train import freezing, parallel
from faceemo.train.recalibrate import make_moments_step, recalibrated
from faceemo.train.state import TrainState
from tests.support.train.tiny import GREY, SIZE, make_split, tiny_config

KEY = jax.random.PRNGKey(0)
LABELS = {"trained": dict.fromkeys(("moving_mean", "moving_variance"), "train")} | {
    "frozen": dict.fromkeys(("moving_mean", "moving_variance"), "freeze")
}


def make_model():
    """Two BatchNorms on the very input, of which one is frozen."""
    layers = {name: BatchNorm(1e-3, name) for name in LABELS}

    def apply(params, stats, x, *, train, mask, keys, axis_name):
        updated = {}
        for name, layer in layers.items():
            mode = Mode(frozenset({"trained"}), mask, keys, axis_name)
            variables = {"params": params[name], "batch_stats": stats[name]}
            _, update = layer.apply(variables, x, mode, mutable=["batch_stats"])
            updated[name] = update["batch_stats"]
        return None, updated

    images = jnp.zeros((1, SIZE, SIZE, 3))
    variables = {
        name: layer.init(jax.random.key(0), images, Mode()) for name, layer in layers.items()
    }
    params = {name: v["params"] for name, v in variables.items()}
    stats = {name: v["batch_stats"] for name, v in variables.items()}
    return types.SimpleNamespace(image_size=SIZE, apply=apply), params, stats


def test_statistics_are_those_of_all_training_images():
    """Five batches on two devices, the last of them padded: each image counts once."""
    model, params, stats = make_model()
    split, config = make_split(70, 0), tiny_config(augmentation="none")
    state = parallel.replicate(TrainState(jnp.int32(0), params, stats, (), KEY))
    step = make_moments_step(model, GREY, LABELS, augmentation="none", axis_name=parallel.AXIS)
    mapped = parallel.measure_on_devices(step)
    after = parallel.unreplicate(recalibrated(mapped, state, LABELS, split, config, 0).batch_stats)
    inputs = np.asarray(preprocess(enlarge(split.images, SIZE), GREY), np.float64)
    np.testing.assert_allclose(
        after["trained"]["moving_mean"], inputs.mean((0, 1, 2)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        after["trained"]["moving_variance"], inputs.var((0, 1, 2)), rtol=1e-4
    )
    jax.tree.map(np.testing.assert_array_equal, after["frozen"], jax.device_get(stats["frozen"]))


def test_normalisation_that_came_with_the_weights_stays():
    """EfficientNetB0's stands beside BatchNorm's statistics, in a block that trains."""
    config = make_config(
        "efficientnetb0",
        "9,weights=none,image_size=32,native_size=8,batch_size=16,augmentation=none",
    )
    model = models.build(config)
    variables = model.init(0)
    normalization = variables["batch_stats"]["backbone"]["normalization"]
    normalization |= {"mean": jnp.float32([1, 2, 3]), "variance": jnp.float32([4, 5, 6])}
    labels = freezing.label(model.blocks, model.trained, variables["batch_stats"])
    split = make_split(16, 0)
    state = parallel.replicate(TrainState(jnp.int32(0), **variables, opt_state=(), rng=KEY))
    step = make_moments_step(model, GREY, labels, augmentation="none", axis_name=parallel.AXIS)
    mapped = parallel.measure_on_devices(step)
    after = parallel.unreplicate(recalibrated(mapped, state, labels, split, config, 0).batch_stats)
    jax.tree.map(np.testing.assert_array_equal, after["backbone"]["normalization"], normalization)
    pass_in_training = jax.jit(lambda *inputs: model.features(*inputs, Mode(model.trained)))
    _, statistics = pass_in_training(
        variables["params"],
        variables["batch_stats"],
        preprocess(enlarge(split.images, 32), GREY),
    )
    stem = statistics["backbone"]["stem_bn"]
    # One step from mean 0 and variance 1 leaves a hundredth of the batch's own.
    for name, start in (("moving_mean", 0), ("moving_variance", 1)):
        batch = (stem[name] - 0.99 * start) * 100
        np.testing.assert_allclose(after["backbone"]["stem_bn"][name], batch, rtol=1e-3, atol=1e-3)
