"""The compiled steps of a run, on random images, for the programs that time or compare them.

They run on all devices that JAX has, as in a run.
"""

from typing import Any

import jax
import numpy as np
from flax import traverse_util

from faceemo import models
from faceemo.data.pipeline import Batch
from faceemo.train import freezing, parallel, state, steps
from faceemo.train.eval_step import make_eval_step

_STORED_SIZE = 48  # pixels


def make_batch(count: int) -> Batch:
    """Makes a batch of random images, uint8 [count, 48, 48], of all four classes."""
    images = np.random.default_rng(0).integers(0, 256, (count, _STORED_SIZE, _STORED_SIZE), "uint8")
    index = np.arange(count, dtype=np.int32)
    return Batch(images, index % 4, np.ones(count, np.float32), index)


def draw_variables(model: models.Model) -> dict[str, Any]:
    """Draws all variables with NumPy, which needs no compilation: a tree like `Model.init`'s.

    Kernels have He's variance, so that activations neither vanish nor explode; no bias is zero and
    no factor is one, so that a missing one shows.
    """
    rng = np.random.default_rng(0)
    drawn = {}
    for path, leaf in traverse_util.flatten_dict(model.shapes(), sep="/").items():
        assert isinstance(leaf, jax.ShapeDtypeStruct)
        noise = 2 * rng.random(leaf.shape, np.float32) - 1
        name = path.rpartition("/")[2]
        if name == "kernel":
            # A depthwise kernel is [kh, kw, C, 1], and each channel has one of its own.
            depthwise = len(leaf.shape) == 4 and leaf.shape[-1] == 1
            inputs = np.prod(leaf.shape[:2] if depthwise else leaf.shape[:-1])
            drawn[path] = noise * np.float32(np.sqrt(6 / inputs))
        elif name in ("gamma", "moving_variance"):
            drawn[path] = 1 + noise / 4
        else:
            drawn[path] = noise / 8
    whole = {"params": {}, "batch_stats": {}} | traverse_util.unflatten_dict(drawn, sep="/")
    return whole


def make_forward(model: models.Model, variables: dict[str, Any], batch: Batch) -> tuple[Any, tuple]:
    """Makes the mapped evaluation step and its arguments."""
    placed = parallel.replicate(variables)
    step = parallel.map_eval_step(make_eval_step(model, model.preprocessing))
    return step, (placed["params"], placed["batch_stats"], parallel.shard(batch).images)


def make_training(
    model: models.Model,
    variables: dict[str, Any],
    batch: Batch,
    *,
    learning_rate: float = 1e-5,
    augmentation: str = "none",
) -> tuple[Any, tuple]:
    """Makes the mapped training step and its arguments: state, batch, epoch."""
    param_labels = freezing.label_params(model, variables["params"])
    optimizer = freezing.make_optimizer(learning_rate, param_labels)
    step = parallel.map_train_step(
        steps.make_train_step(
            model,
            optimizer,
            param_labels,
            model.preprocessing,
            augmentation=augmentation,
            class_weights=np.ones(4, np.float32),
            axis_name=parallel.AXIS,
        )
    )
    first = parallel.replicate(state.TrainState.create(variables, optimizer, 0))
    return step, (first, parallel.shard(batch), 0)
