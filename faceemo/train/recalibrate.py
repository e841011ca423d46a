"""BatchNorm statistics over the whole training set, instead of a moving average that may lag.

At momentum 0.99 a moving average keeps a third of its first value after a hundred steps, which is
about an epoch at batch 128. Here mean and variance are pooled over the batches of one epoch, with
the weights standing still ("precise BatchNorm": Wu and Johnson, "Rethinking 'Batch' in BatchNorm",
2021).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict
from tqdm import tqdm

from faceemo.data.pipeline import Batch, Split, epoch_batches, steps_per_epoch
from faceemo.models import Model
from faceemo.models.layers.batch_norm import MOMENTUM
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import parallel
from faceemo.train.freezing import FREEZE, TRAIN, map_trained
from faceemo.train.state import TrainState
from faceemo.train.steps import training_inputs

_MEAN, _VARIANCE = "moving_mean", "moving_variance"


def make_moments_step(
    model: Model,
    preprocessing: Preprocessing,
    labels: Any,
    *,
    augmentation: str,
    axis_name: str,
) -> Callable[[TrainState, Batch, jax.Array], Any]:
    """Makes `step(state, batch, epoch) -> batch_stats`, to be mapped over `axis_name`.

    The result holds mean and variance of this batch alone, over all devices, where `labels` (of the
    statistics) say that they train. Images and dropout are those of the training step.
    """
    labels = _moving(labels)

    def step(state: TrainState, batch: Batch, epoch: jax.Array) -> Any:
        shown = training_inputs(state, batch, epoch, model, preprocessing, augmentation)
        # From zero, one update is (1 - momentum) times the batch's own statistic.
        start = map_trained(jnp.zeros_like, labels, state.batch_stats)
        _, updated = model.apply(
            state.params,
            start,
            shown.inputs,
            train=True,
            mask=batch.mask,
            keys=shown.keys,
            axis_name=axis_name,
        )
        return map_trained(lambda leaf: leaf / (1 - MOMENTUM), labels, updated)

    return step


def recalibrated(
    step: Callable[..., Any],
    state: TrainState,
    labels: Any,
    split: Split,
    config: ConfigDict,
    epoch: int,
) -> TrainState:
    """`state` with the statistics of one pass over the training images.

    Args:
        step: of `make_moments_step`, mapped over the devices.
        state: with a leading device axis.
        labels: of the statistics; those of frozen blocks stay.
        split: the training images.
        config: of the run.
        epoch: from 0, whose order and augmentation are used.
    """
    batches = epoch_batches(
        split, config.batch_size, seed=config.seed, epoch=epoch, steps=config.steps_per_epoch
    )
    steps = steps_per_epoch(len(split), config.batch_size, config.steps_per_epoch)
    images, sums = 0.0, {}
    for batch in tqdm(batches, "recalibrating", steps, unit="batch", leave=False, disable=None):
        count = float(batch.mask.sum())
        moments = _flat(parallel.unreplicate(step(state, parallel.shard(batch), epoch)))
        images += count
        for path, value in moments.items():
            value = value.astype(np.float64)
            if path[-1] == _VARIANCE:
                value += moments[*path[:-1], _MEAN].astype(np.float64) ** 2
            sums[path] = sums.get(path, 0) + count * value
    pooled = {path: total / images for path, total in sums.items()}
    for path in pooled:
        if path[-1] == _VARIANCE:
            pooled[path] = np.maximum(pooled[path] - pooled[*path[:-1], _MEAN] ** 2, 0)
    names, old = _flat(_moving(labels)), _flat(parallel.unreplicate(state.batch_stats))
    fresh = {
        path: pooled[path].astype(np.float32) if names[path] == TRAIN else old[path] for path in old
    }
    statistics = parallel.replicate(traverse_util.unflatten_dict(fresh))
    return dataclasses.replace(state, batch_stats=statistics)


def _moving(labels: Any) -> Any:
    """`labels` with all frozen but BatchNorm's: EfficientNet's normalisation is no average."""
    return traverse_util.unflatten_dict(
        {
            path: name if path[-1] in (_MEAN, _VARIANCE) else FREEZE
            for path, name in _flat(labels).items()
        }
    )


def _flat(tree: Any) -> dict[tuple[str, ...], Any]:
    return cast(dict[tuple[str, ...], Any], traverse_util.flatten_dict(tree))
