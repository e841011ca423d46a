"""Estimated statistics leave the network's function as it is; recalibrated ones equal NumPy's."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from faceemo import models
from faceemo.config import make_config
from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.layers import Mode
from faceemo.train import freezing, parallel
from faceemo.train.batch_stats import (
    estimate_batch_stats,
    make_moments_step,
    recalibrate_batch_stats,
)
from faceemo.train.eval_step import plain_inputs
from faceemo.train.state import TrainState
from tests.support.data.faces import face
from tests.support.models import keras_like
from tests.support.train.tiny import GREY, SIZE, make_split, make_start, tiny_config

pytestmark = pytest.mark.slow

STATS_LABELS = {"trained": dict.fromkeys(("moving_mean", "moving_variance"), "train")} | {
    "frozen": dict.fromkeys(("moving_mean", "moving_variance"), "freeze")
}


def make_folded(model):
    """Random gamma and beta, mean 0 and variance 1: weights as `weights.faceres` reads them."""
    variables = keras_like.draw(model, 1)
    draw = np.random.default_rng(2)

    def change(path, leaf):
        low, high = {"gamma": (0.5, 2), "beta": (-0.5, 0.5)}.get(path[-1], (0, 0))
        return np.float32(draw.uniform(low, high, leaf.shape)) if high else np.asarray(leaf)

    leaves = traverse_util.flatten_dict(variables)
    return traverse_util.unflatten_dict({path: change(path, leaf) for path, leaf in leaves.items()})


@pytest.fixture(scope="module")
def split():
    return dataclasses.replace(
        make_split(64, 0), images=np.stack([face(seed) for seed in range(64)])
    )


def make_folded_start(**fields):
    overrides = "".join(f",{name}={value}" for name, value in fields.items())
    config = make_config("mobilenet", f"9,image_size=32{overrides}")
    model = models.build(config)
    return config, make_start(model, variables=make_folded(model))


@pytest.fixture(scope="module")
def run():
    """Computes a network's features for images, in inference or in training mode."""

    def run(start, images, *, training=False):
        model, variables = start.model, start.variables

        def features(params, statistics, images):
            mode = Mode(model.trained if training else frozenset())
            return model.features(params, statistics, plain_inputs(images, model, GREY), mode)[0]

        return np.asarray(jax.jit(features)(variables["params"], variables["batch_stats"], images))

    return run


@pytest.mark.usefixtures("either_library")
def test_estimates_leave_inference_as_it_is_and_bring_training_mode_close(split, run):
    config, before = make_folded_start()
    after = estimate_batch_stats(config, before, split)
    expected = run(before, split.images)
    spread = np.abs(expected).max()
    np.testing.assert_allclose(run(after, split.images), expected, atol=2e-3 * spread)
    close = np.abs(run(after, split.images, training=True) - expected).max() / spread
    far = np.abs(run(before, split.images, training=True) - expected).max() / spread
    assert close < 2e-3
    assert far > 0.1


@pytest.mark.usefixtures("either_library")
def test_only_blocks_that_train_get_estimates(split):
    config, before = make_folded_start(unfreeze=1)
    after = estimate_batch_stats(config, before, split)
    leaves = traverse_util.flatten_dict(after.variables, sep="/")
    changed = {
        name
        for name, leaf in traverse_util.flatten_dict(before.variables, sep="/").items()
        if not np.array_equal(leaf, leaves[name])
    }
    layers = {f"conv_{kind}_{pair}_bn" for kind in ("dw", "pw") for pair in (12, 13)}
    assert {name.split("/")[2] for name in changed} == layers


@pytest.mark.parametrize("fields", [{"weights": "none"}, {"bn_policy": "frozen"}, {"unfreeze": 0}])
def test_networks_without_need_of_estimates_are_returned_unchanged(split, fields):
    config, before = make_folded_start(**fields)
    after = estimate_batch_stats(config, before, split)
    jax.tree.map(np.testing.assert_array_equal, after.variables, before.variables)


def test_existing_statistics_are_not_estimated(split):
    config, before = make_folded_start()
    statistics = before.variables["batch_stats"]["backbone"]
    statistics["conv1_bn"]["moving_mean"] = np.ones(32, np.float32)
    assert estimate_batch_stats(config, before, split) is before


def make_model():
    """Two BatchNorms on the network's inputs, one of them frozen."""
    layers = {name: BatchNorm(1e-3, name) for name in STATS_LABELS}

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


def recalibrate(model, state, stats_labels, split, config):
    step = make_moments_step(
        model, GREY, stats_labels, augmentation="none", axis_name=parallel.AXIS
    )
    step, state = parallel.map_moments_step(step), parallel.replicate(state)
    return parallel.unreplicate(
        recalibrate_batch_stats(step, state, stats_labels, split, config, 0)
    )


def test_recalibrated_statistics_are_those_of_all_training_images():
    """Five batches on two devices, the last of them padded: each image counts once."""
    model, params, stats = make_model()
    split, config = make_split(70, 0), tiny_config(augmentation="none")
    state = TrainState(jnp.int32(0), params, stats, (), jax.random.PRNGKey(0))
    after = recalibrate(model, state, STATS_LABELS, split, config)
    inputs = np.asarray(plain_inputs(split.images, model, GREY), np.float64)
    np.testing.assert_allclose(
        after["trained"]["moving_mean"], inputs.mean((0, 1, 2)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        after["trained"]["moving_variance"], inputs.var((0, 1, 2)), rtol=1e-4
    )
    jax.tree.map(np.testing.assert_array_equal, after["frozen"], jax.device_get(stats["frozen"]))


def test_recalibration_leaves_the_normalisation_of_efficientnet_as_it_is():
    """It is stored beside BatchNorm's statistics, in a block that trains."""
    config = make_config(
        "efficientnetb0",
        "9,weights=none,image_size=32,native_size=8,batch_size=16,augmentation=none",
    )
    model = models.build(config)
    variables = keras_like.draw(model, 0)
    normalization = variables["batch_stats"]["backbone"]["normalization"]
    normalization |= {"mean": jnp.float32([1, 2, 3]), "variance": jnp.float32([4, 5, 6])}
    stats_labels = freezing.label_leaves(model.blocks, model.trained, variables["batch_stats"])
    split = make_split(16, 0)
    state = TrainState(jnp.int32(0), **variables, opt_state=(), rng=jax.random.PRNGKey(0))
    after = recalibrate(model, state, stats_labels, split, config)
    jax.tree.map(np.testing.assert_array_equal, after["backbone"]["normalization"], normalization)
    pass_in_training = jax.jit(functools.partial(model.features, mode=Mode(model.trained)))
    _, statistics = pass_in_training(
        variables["params"],
        variables["batch_stats"],
        plain_inputs(split.images, model, GREY),
    )
    stem = statistics["backbone"]["stem_bn"]
    # One step from mean 0 and variance 1 leaves a hundredth of the batch's own.
    for name, start in (("moving_mean", 0), ("moving_variance", 1)):
        batch = (stem[name] - 0.99 * start) * 100
        np.testing.assert_allclose(after["backbone"]["stem_bn"][name], batch, rtol=1e-3, atol=1e-3)
