"""Statistics for folded weights: the network computes the same, in training mode too."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import traverse_util

from faceemo import models
from faceemo.config import make_config
from faceemo.data.augment.augment import enlarge
from faceemo.models.layers.layers import Mode
from faceemo.models.preprocessing import preprocess
from faceemo.train.batch_stats import settled
from tests.support.data.faces import face
from tests.support.train.tiny import GREY, make_split


def folded(model):
    """Random variables as `face_weights.read` leaves them: neither mean nor spread."""
    variables = model.init(1)
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


def built(**fields):
    overrides = "".join(f",{name}={value}" for name, value in fields.items())
    config = make_config("mobilenet", f"9,image_size=32{overrides}")
    return config, models.build(config)


@pytest.fixture(scope="module")
def run():
    """The features of a network's variables for images, in inference or in training mode."""

    def run(model, variables, images, *, training=False):
        def features(params, statistics, images):
            inputs = preprocess(enlarge(images, 32), GREY)
            mode = Mode(model.trained if training else frozenset())
            return model.features(params, statistics, inputs, mode)[0]

        return np.asarray(jax.jit(features)(variables["params"], variables["batch_stats"], images))

    return run


def test_inference_stays_and_training_comes_near_it(split, run):
    config, model = built()
    before = folded(model)
    after = settled(config, model, before, GREY, split)
    wanted = run(model, before, split.images)
    spread = np.abs(wanted).max()
    np.testing.assert_allclose(run(model, after, split.images), wanted, atol=2e-3 * spread)
    close = np.abs(run(model, after, split.images, training=True) - wanted).max() / spread
    far = np.abs(run(model, before, split.images, training=True) - wanted).max() / spread
    assert close < 2e-3
    assert far > 0.1


def test_only_blocks_that_train_are_touched(split):
    config, model = built(unfreeze=1)
    before = folded(model)
    after = traverse_util.flatten_dict(settled(config, model, before, GREY, split), sep="/")
    changed = {
        name
        for name, leaf in traverse_util.flatten_dict(before, sep="/").items()
        if not np.array_equal(leaf, after[name])
    }
    layers = {f"conv_{kind}_{pair}_bn" for kind in ("dw", "pw") for pair in (12, 13)}
    assert {name.split("/")[2] for name in changed} == layers


@pytest.mark.parametrize("fields", [{"weights": "none"}, {"bn_policy": "frozen"}, {"unfreeze": 0}])
def test_what_needs_no_statistics_is_left_alone(split, fields):
    config, model = built(**fields)
    before = folded(model)
    after = settled(config, model, before, GREY, split)
    jax.tree.map(np.testing.assert_array_equal, after, before)


def test_statistics_that_are_there_stay(split):
    config, model = built()
    before = folded(model)
    before["batch_stats"]["backbone"]["conv1_bn"]["moving_mean"] = np.ones(32, np.float32)
    assert settled(config, model, before, GREY, split) is before
