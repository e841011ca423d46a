"""BatchNorm equals Keras's, whatever the padding and the number of devices."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.layers import Mode

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("either_library")]

LAYER = BatchNorm(epsilon=1.001e-5, block="top")
TRAINING = frozenset({"top"})
# Content of padded rows: it would change every number if it were used.
GARBAGE = 1e4


@pytest.fixture(scope="module")
def keras(pieces):
    return pieces.weights("batch_norm")


@pytest.fixture(scope="module")
def variables(keras):
    return {
        "params": {"gamma": keras["gamma"], "beta": keras["beta"]},
        "batch_stats": {n: keras[n] for n in ("moving_mean", "moving_variance")},
    }


def assert_close(ours, theirs, tolerance=1e-4):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def split(rows, counts, size):
    """Splits rows over devices, `counts` real ones each, padded to `size`; returns also a mask."""
    padded = np.full((len(counts), size, *rows.shape[1:]), GARBAGE, np.float32)
    mask = np.zeros((len(counts), size), np.float32)
    for device, part in enumerate(np.split(rows, np.cumsum(counts)[:-1])):
        padded[device, : len(part)] = part
        mask[device, : len(part)] = 1
    return padded, mask


def train(variables, inputs, mask, cotangent, axis_name):
    """Returns outputs, new statistics, and gradients of a sum over the real rows of all devices."""

    def loss(params, values):
        mode = Mode(TRAINING, mask, axis_name=axis_name)
        outputs, updates = LAYER.apply(
            {**variables, "params": params}, values, mode, mutable=["batch_stats"]
        )
        real = jnp.where(mask.reshape(-1, 1, 1, 1) > 0, outputs * cotangent, 0)
        return real.sum(), (outputs, updates["batch_stats"])

    gradients, (outputs, updates) = jax.grad(loss, (0, 1), has_aux=True)(
        variables["params"], inputs
    )
    if axis_name:
        gradients = (jax.lax.psum(gradients[0], axis_name), gradients[1])
    return outputs, updates, gradients


@pytest.mark.parametrize(
    ("counts", "size"),
    [([6], 6), ([6], 9), ([3, 3], 3), ([4, 2], 4), ([6, 0], 6), ([1, 5], 7)],
    ids=lambda value: str(value),
)
def test_training_equals_keras_with_any_padding_on_any_device(keras, variables, counts, size):
    inputs, mask = split(keras["inputs"], counts, size)
    cotangent, _ = split(keras["cotangent"], counts, size)
    axis_name = "devices" if len(counts) > 1 else None
    if axis_name:
        step = jax.pmap(functools.partial(train, variables, axis_name=axis_name), axis_name)
        outputs, updates, gradients = step(inputs, mask, cotangent)
        for leaf in jax.tree.leaves((updates, gradients[0])):
            np.testing.assert_array_equal(leaf[0], leaf[1])  # all devices agree
        updates, params = jax.tree.map(lambda leaf: leaf[0], (updates, gradients[0]))
        gradients = (params, gradients[1])
    else:
        step = jax.jit(functools.partial(train, variables, axis_name=None))
        outputs, updates, gradients = step(inputs[0], mask[0], cotangent[0])
    real = mask.reshape(-1) > 0
    assert_close(np.reshape(outputs, (-1, 5, 4, 3))[real], keras["outputs"])
    assert_close(updates["moving_mean"], keras["moved_mean"])
    assert_close(updates["moving_variance"], keras["moved_variance"])
    assert_close(np.reshape(gradients[1], (-1, 5, 4, 3))[real], keras["gradient/inputs"])
    assert not np.any(np.reshape(gradients[1], (-1, 5, 4, 3))[~real])
    assert_close(gradients[0]["gamma"], keras["gradient/gamma"])
    assert_close(gradients[0]["beta"], keras["gradient/beta"])


def test_the_moving_variance_follows_the_biased_variance(keras, variables):
    _, updates = LAYER.apply(variables, keras["inputs"], Mode(TRAINING), mutable=["batch_stats"])
    step = updates["batch_stats"]["moving_variance"] - 0.99 * keras["moving_variance"]
    np.testing.assert_allclose(step, 0.01 * keras["inputs"].var((0, 1, 2)), rtol=2e-4)


@pytest.mark.parametrize("training", [frozenset(), frozenset({"another"})])
def test_outside_training_outputs_equal_keras_inference_and_statistics_stay(
    keras, variables, training
):
    outputs, updates = LAYER.apply(
        variables, keras["inputs"], Mode(training), mutable=["batch_stats"]
    )
    assert_close(outputs, keras["inference"])
    for name, value in updates["batch_stats"].items():
        np.testing.assert_array_equal(value, variables["batch_stats"][name])


def test_a_batch_of_padding_alone_gives_no_nan(variables):
    rows = np.full((2, 5, 4, 3), GARBAGE, np.float32)
    outputs, updates, gradients = train(variables, rows, np.zeros(2, np.float32), rows, None)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((outputs, updates, gradients)))


def test_variance_far_from_zero_keeps_its_digits(variables):
    # Sum of squares minus square of sum would leave no correct digit in float32.
    rows = np.random.default_rng(0).normal(1e4, 1, (32, 8, 8, 3)).astype(np.float32)
    _, updates = LAYER.apply(variables, rows, Mode(TRAINING), mutable=["batch_stats"])
    step = (
        updates["batch_stats"]["moving_variance"]
        - 0.99 * variables["batch_stats"]["moving_variance"]
    )
    expected = 0.01 * rows.astype(np.float64).var((0, 1, 2))
    np.testing.assert_allclose(step, expected, rtol=1e-3)
    constant = np.full_like(rows, 12345.678)
    _, updates = LAYER.apply(variables, constant, Mode(TRAINING), mutable=["batch_stats"])
    step = (
        updates["batch_stats"]["moving_variance"]
        - 0.99 * variables["batch_stats"]["moving_variance"]
    )
    assert (np.abs(step) < 1e-3).all()


def test_statistics_of_bfloat16_rows_are_float32(variables):
    layer = BatchNorm(epsilon=1e-3, block="top", dtype=jnp.dtype("bfloat16"))
    # 64 x 64 values near 1: a bfloat16 sum would stop at 256.
    rows = np.random.default_rng(0).normal(1, 0.1, (8, 64, 64, 3)).astype(jnp.bfloat16)
    outputs, updates = layer.apply(variables, rows, Mode(TRAINING), mutable=["batch_stats"])
    assert outputs.dtype == jnp.bfloat16
    mean: Any = updates["batch_stats"]["moving_mean"]
    assert mean.dtype == jnp.float32
    step = mean - 0.99 * variables["batch_stats"]["moving_mean"]
    np.testing.assert_allclose(step, 0.01 * rows.astype(np.float64).mean((0, 1, 2)), rtol=1e-3)
