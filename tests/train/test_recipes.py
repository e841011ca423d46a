"""Schedules, optimisers and losses equal Keras's; the others are computed by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.train import freezing
from faceemo.train.losses import cross_entropy
from faceemo.train.optimizer import make_schedule
from tests.support import keras_process
from tests.support.places import SUPPORT
from tests.support.train.tiny import make_model, tiny_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras_recipes")
    keras_process.run(SUPPORT / "train" / "keras_recipes.py", folder)
    with np.load(folder / "results.npz") as results:
        return dict(results)


def keras_schedule(keras):
    """Our schedule with the oracle's settings: 5 epochs of 5 steps."""
    peak, warmup, total, _, _ = keras["settings"]
    config = tiny_config(
        learning_rate=float(peak), schedule="cosine", epochs=5, warmup_epochs=float(warmup) / 5
    )
    assert total == 25
    return make_schedule(config, 5)


def test_the_schedule_equals_keras_cosine_with_warm_up(keras):
    schedule: Any = keras_schedule(keras)
    ours = [schedule(jnp.int32(step)) for step in range(25)]
    np.testing.assert_allclose(ours, keras["rates"], rtol=1e-4)


def test_schedules_without_cosine_or_without_warm_up():
    rate = make_schedule(tiny_config(learning_rate=0.5), 10)
    assert rate == 0.5, "a constant rate is a plain number, so that no step computes it"
    warm: Any = make_schedule(tiny_config(learning_rate=0.5, warmup_epochs=0.4), 10)
    np.testing.assert_allclose([warm(t) for t in range(6)], [0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    cosine: Any = make_schedule(tiny_config(learning_rate=0.5, schedule="cosine", epochs=2), 10)
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(20) / 20))
    np.testing.assert_allclose([cosine(t) for t in range(20)], expected, rtol=1e-5)


def test_adamw_and_clipping_equal_keras_step_by_step(keras):
    """With the schedule, in float64; the bias does not decay and a frozen leaf does not count."""
    _, _, _, decay, clip = keras["settings"]
    param_labels = {"layer": {"kernel": "train", "bias": "train"}, "still": {"kernel": "freeze"}}
    with jax.enable_x64(True):
        layer = {name: jnp.asarray(keras[f"{name}0"]) for name in ("kernel", "bias")}
        params = {"layer": layer, "still": {"kernel": jnp.ones(2)}}
        optimizer = freezing.make_optimizer(
            keras_schedule(keras), param_labels, weight_decay=float(decay), clip_norm=float(clip)
        )
        opt_state = optimizer.init(params)
        for step in range(25):
            gradients = {
                "kernel": jnp.asarray(keras["kernel_gradients"][step]),
                "bias": jnp.asarray(keras["bias_gradients"][step, 0]),
            }
            # If the frozen leaf counted, all others would be clipped to nothing.
            gradients = {"layer": gradients, "still": {"kernel": jnp.full(2, 1e9)}}
            updates, opt_state = optimizer.update(gradients, opt_state, params)
            params = freezing.map_trained(jnp.add, param_labels, params, updates)
            for name, series in (("kernel", "kernels"), ("bias", "biases")):
                np.testing.assert_allclose(
                    params["layer"][name], keras[series][step], rtol=0, atol=2e-6, err_msg=name
                )
        np.testing.assert_array_equal(params["still"]["kernel"], 1)


def test_smoothed_losses_equal_keras(keras):
    logits, labels = jnp.asarray(keras["logits"], jnp.float32), keras["labels"]
    for smoothing in (0.0, 0.1, 0.4):
        ours = [np.asarray(cross_entropy(logits, jnp.asarray(row), smoothing)) for row in labels]
        np.testing.assert_allclose(ours[0], keras[f"losses/{smoothing}"], rtol=1e-4, atol=1e-6)
        mixed = keras["share"] * ours[0] + (1 - keras["share"]) * ours[1]
        np.testing.assert_allclose(mixed, keras[f"mixed/{smoothing}"], rtol=1e-4, atol=1e-6)


def test_each_block_steps_by_its_own_learning_rate():
    """Adam's first step is the learning rate, for any gradient: 1, 1/2, 1/4 from the head down."""
    model = make_model(trained=("low", "top", "head"))
    params = model.init(0)["params"]
    param_labels = freezing.label_params(model, params)
    for rate in (0.1, lambda count: 0.1 + 0.0 * count):
        optimizer = freezing.make_optimizer(
            rate, param_labels, blocks=model.blocks, layer_decay=0.5
        )
        gradients = jax.tree.map(lambda leaf: jnp.full_like(leaf, 3.0), params)
        updates, _ = optimizer.update(gradients, optimizer.init(params), params)
        for name, layers, factor in (
            ("low", updates["backbone"]["low"], 0.25),
            ("top", updates["backbone"]["top"], 0.5),
            ("head", updates["head"], 1.0),
        ):
            for leaf in jax.tree.leaves(layers):
                np.testing.assert_allclose(leaf, -0.1 * factor, rtol=1e-4, err_msg=name)


def test_layer_decay_and_weight_decay_leave_frozen_leaves_without_state():
    model = make_model()
    params = model.init(0)["params"]
    param_labels = freezing.label_params(model, params)
    optimizer = freezing.make_optimizer(
        0.1, param_labels, blocks=model.blocks, layer_decay=0.5, weight_decay=0.1, clip_norm=1.0
    )
    sizes = [leaf.size for leaf in jax.tree.leaves(optimizer.init(params)) if leaf.ndim]
    assert sum(sizes) == 2 * (36 + 28), "two moments of blocks top and head, nothing of low"
