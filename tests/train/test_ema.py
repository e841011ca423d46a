"""The average of the parameters follows TensorFlow's formula and includes batch statistics."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from faceemo.train import ema
from faceemo.train.state import TrainState
from tests.support.train.recipe_steps import make_batch, train


@pytest.mark.slow
def test_the_average_follows_tensorflows_formula():
    """The averaged parameters are those of the same training without an average, to rounding."""
    start, plain, _ = train(make_batch(8), devices=1, steps=30)
    _, states, _ = train(make_batch(8), devices=1, steps=30, ema=0.6)
    mean = np.asarray(start.params["head"]["predictions"]["kernel"], np.float64)
    limited = 0
    for number, (one, other) in enumerate(zip(plain, states, strict=True), start=1):
        leaf = one.params["head"]["predictions"]["kernel"]
        trained = other.params["head"]["predictions"]["kernel"]
        np.testing.assert_allclose(trained, leaf, rtol=1e-5, atol=1e-7)
        decay = min(0.6, (1 + number) / (10 + number))
        limited += decay < 0.6
        mean = decay * mean + (1 - decay) * leaf
        averaged = ema.use_ema(other).params["head"]["predictions"]["kernel"]
        np.testing.assert_allclose(averaged, mean, rtol=1e-5, atol=1e-7)
    assert 5 < limited < 20, "both branches of the minimum occur"


def test_statistics_are_averaged_where_they_train_and_can_be_replaced():
    variables = {
        "params": {"w": jnp.zeros(2)},
        "batch_stats": {"a": jnp.zeros(1), "b": jnp.ones(1)},
    }
    variable_labels = {"params": {"w": "train"}, "batch_stats": {"a": "train", "b": "freeze"}}
    average = ema.init_ema(variables, variable_labels)
    begin = TrainState.create(variables, optax.identity(), 0, average)
    begin = dataclasses.replace(
        begin,
        step=jnp.int32(1),
        params={"w": jnp.ones(2)},
        batch_stats={"a": jnp.full(1, 8.0), "b": jnp.ones(1)},
    )
    begin = ema.update_ema(begin, decay=0.9)
    shown = ema.use_ema(begin)
    np.testing.assert_allclose(shown.params["w"], 9 / 11, rtol=1e-6)
    np.testing.assert_allclose(shown.batch_stats["a"], 8 * 9 / 11, rtol=1e-6)
    np.testing.assert_array_equal(shown.batch_stats["b"], 1)
    fresh = ema.replace_batch_stats(begin, {"a": jnp.full(1, 5.0), "b": jnp.ones(1)})
    assert float(ema.use_ema(fresh).batch_stats["a"][0]) == 5
    np.testing.assert_allclose(ema.use_ema(fresh).params["w"], 9 / 11, rtol=1e-6)
