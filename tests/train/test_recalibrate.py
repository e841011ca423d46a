"""Recalibrated statistics against NumPy's over the whole training set at once."""

import types

import jax
import jax.numpy as jnp
import numpy as np

from faceemo.data.augment import enlarge
from faceemo.models.batch_norm import BatchNorm
from faceemo.models.layers import Mode
from faceemo.models.preprocessing import preprocess
from faceemo.train import parallel
from faceemo.train.recalibrate import make_moments_step, recalibrated
from faceemo.train.state import TrainState
from tests.train.tiny import GREY, SIZE, make_split, tiny_config

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
    state = parallel.replicate(TrainState(jnp.int32(0), params, stats, (), jax.random.PRNGKey(0)))
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
