"""Training steps of the tiny model with any option of a recipe, on any number of devices."""

import types
from typing import Any

import jax
import numpy as np

from faceemo.data import pipeline
from faceemo.data.augment.mixing import MixedBatch, draw_partners
from faceemo.data.pipeline import Batch
from faceemo.train import freezing
from faceemo.train.distillation import Teacher
from faceemo.train.ema import init_ema
from faceemo.train.state import TrainState
from faceemo.train.steps import make_train_step
from tests.support.train.tiny import GREY, SIZE, make_model, make_split

WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0], np.float32)


def make_optimizer(param_labels):
    return freezing.make_optimizer(0.01, param_labels)


def train(batch, *, devices, steps=3, mixing=None, split=None, **recipe):
    """Trains on one batch, cut over `devices`; returns the first state, those after, last sums.

    Partners are taken from `split`, by default the images of `make_batch`. `recipe` has the
    arguments of `_build`.
    """
    start, mapped = _build_once(devices, mixing=mixing, **recipe)
    if mixing:
        split = split or make_split(8, 3)
        chosen = np.where(batch.mask > 0, draw_partners(len(split), 5, 2)[batch.index], -1)
        images = split.images[chosen] * (batch.mask > 0)[:, None, None]
        partner = pipeline.make_batch(split, chosen.astype(np.int32), images.astype(np.uint8))
        batch = MixedBatch(*batch, partner=partner)
    return start, *_run(mapped, start, batch, devices, steps)


# First states and steps by their recipes, with the objects in these recipes, whose identities the
# keys hold. A step that is built again would be traced and compiled again.
_BUILT: dict[tuple, tuple] = {}


def _build_once(devices, **recipe):
    plain = (bool, int, float, str, tuple, type(None))
    key = (devices, *((n, v if isinstance(v, plain) else id(v)) for n, v in sorted(recipe.items())))
    if key not in _BUILT:
        _BUILT[key] = (*_build(devices, **recipe), recipe)
    return _BUILT[key][:2]


def _build(
    devices,
    *,
    ema=0.0,
    mixing=None,
    optimizer=make_optimizer,
    noise=0.5,
    weights=WEIGHTS,
    augmentation="mid",
    **recipe,
):
    """Builds the first state, and its step on `devices`."""
    model = make_model(noise=noise)
    variables = model.init(0)
    variable_labels = freezing.label_variables(model, variables)
    param_labels = variable_labels["params"]
    optimizer = optimizer(param_labels)
    step = make_train_step(
        model,
        optimizer,
        param_labels,
        GREY,
        augmentation=augmentation,
        class_weights=np.array(weights, np.float32),
        axis_name="batch",
        ema=ema,
        mixing=mixing,
        **recipe,
    )
    average = init_ema(variables, variable_labels) if ema else None
    return TrainState.create(variables, optimizer, 5, average), _map(step, devices)


def run(step, start, batch, devices, steps=3):
    """Runs steps; returns the first device's states after each step, and its last sums."""
    return _run(_map(step, devices), start, batch, devices, steps)


def _map(step, devices):
    return jax.pmap(step, axis_name="batch", in_axes=(0, 0, None), devices=jax.devices()[:devices])


def _run(mapped, start, batch, devices, steps):
    copies = jax.tree.map(lambda leaf: np.stack([leaf] * devices), start)
    # Placed as the step returns them; otherwise its second call would compile it again.
    mesh = jax.sharding.Mesh(jax.devices()[:devices], ("batch",))
    one_each = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    copies = jax.device_put(copies, one_each)
    cut = jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), batch)
    states, sums = [], None
    for _ in range(steps):
        copies, sums = mapped(copies, cut, 2)
        states.append(jax.tree.map(lambda leaf: np.asarray(leaf)[0], copies))
    return states, jax.tree.map(lambda leaf: np.asarray(leaf)[0], sums)


def make_teacher(seed, size=SIZE):
    """A teacher: the tiny model with the random variables of `seed`, at another size."""
    model = make_model()
    model.image_size = size
    network: Any = types.SimpleNamespace(
        model=model, variables=model.init(seed), preprocessing=GREY
    )
    return Teacher("somewhere", "0" * 64, network)


def make_batch(n, size=8):
    """A batch of the first n of eight images, padded to `size`."""
    split = make_split(8, 3)
    index = np.arange(n, dtype=np.int32)
    rows = (split.images[index], split.labels[index], np.ones(n, np.float32), index)
    fills = (0, 0, 0, -1)
    padded = [
        np.concatenate([row, np.full((size - n, *row.shape[1:]), fill, row.dtype)])
        for row, fill in zip(rows, fills, strict=True)
    ]
    return Batch(*padded)
