"""BatchNorm statistics from training images, before a run or before a validation.

`estimate_batch_stats` is for pretrained weights without statistics. Where a BatchNorm was folded
into the convolution before it, its mean and variance are lost; in training mode the batch's own
would take their place, and the network would compute something else.

`recalibrate_batch_stats` replaces the moving averages, which may lag: at momentum 0.99 they keep a
third of their first value after a hundred steps, which is about an epoch at batch 128. Mean and
variance are pooled over the batches of one epoch with fixed weights ("precise BatchNorm": Wu and
Johnson, "Rethinking 'Batch' in BatchNorm", 2021).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict
from tqdm import tqdm

from faceemo.data.division import Division
from faceemo.data.pipeline import Batch, Split, epoch_batches, steps_per_epoch
from faceemo.models import Model
from faceemo.models.layers.batch_moments import RealRows, compute_moments
from faceemo.models.layers.batch_norm import MOMENTUM, BatchNorm
from faceemo.models.layers.layers import Mode
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import parallel
from faceemo.train.eval_step import plain_inputs
from faceemo.train.freezing import FREEZE, TRAIN, map_trained
from faceemo.train.start import Start
from faceemo.train.state import TrainState
from faceemo.train.steps import training_inputs

# Number and size of the batches from which missing statistics are estimated.
_BATCHES, _BATCH_SIZE = 16, 32
_MEAN, _VARIANCE = "moving_mean", "moving_variance"


def estimate_batch_stats(config: ConfigDict, start: Start, split: Split) -> Start:
    """Estimates missing BatchNorm statistics from up to 512 unaugmented training images.

    Gamma and beta are adjusted so that the inference output does not change; the output in
    training mode is then nearly the same.

    Args:
        config: The run's configuration.
        start: The network with its initial variables.
        split: The training images; those used are spread evenly over it.

    Returns:
        `start` with other variables; `start` itself if its weights are random, have statistics, or
        no BatchNorm will be in training mode.
    """
    model, variables = start.model, start.variables
    only_head = model.trained == {model.blocks[-1].name}
    if config.weights == "none" or model.moving_statistics or only_head:
        return start
    if not _lacks_statistics(variables["batch_stats"]):
        return start
    epsilons: dict[str, float] = {}

    @jax.jit
    def measure_inputs(params: Any, batch_stats: Any, images: jax.Array) -> dict[str, Any]:
        """Measures mean and variance of the inputs of every BatchNorm that trains, by layer."""
        found = {}

        def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            layer = context.module
            called = isinstance(layer, BatchNorm) and context.method_name == "__call__"
            if called and layer.block in model.trained:
                found[layer.name] = compute_moments(args[0], RealRows())
                epsilons[str(layer.name)] = layer.epsilon
            return call(*args, **kwargs)

        inputs = plain_inputs(images, model, start.preprocessing)
        # In inference a BatchNorm may be computed as a part of something else. In training mode it
        # is always called; it uses its moving statistics all the same.
        mode = Mode(model.trained, moving_statistics=True)
        with nn.intercept_methods(intercept):
            model.features(params, batch_stats, inputs, mode)
        return found

    rows = np.linspace(0, len(split) - 1, _BATCHES * _BATCH_SIZE, dtype=int)
    batches = [
        measure_inputs(variables["params"], variables["batch_stats"], images)
        for images in (
            parallel.take_everywhere(split.images, batch) for batch in rows.reshape(_BATCHES, -1)
        )
    ]
    params, statistics = _flatten(variables["params"]), _flatten(variables["batch_stats"])
    for name, epsilon in epsilons.items():
        layer = ("backbone", name)
        pairs = [np.asarray(batch[name], np.float64) for batch in batches]
        means, variances = np.stack(pairs, axis=1)
        mean = means.mean(0)
        variance = variances.mean(0) + means.var(0)
        old_mean, old_variance, gamma, beta = (
            np.asarray(tree[*layer, kind], np.float64)
            for tree, kind in (
                *((statistics, _MEAN), (statistics, _VARIANCE)),
                *((params, "gamma"), (params, "beta")),
            )
        )
        scale = gamma / np.sqrt(old_variance + epsilon)
        params[*layer, "gamma"] = np.float32(scale * np.sqrt(variance + epsilon))
        params[*layer, "beta"] = np.float32(beta + scale * (mean - old_mean))
        statistics[*layer, _MEAN] = np.float32(mean)
        statistics[*layer, _VARIANCE] = np.float32(variance)
    variables = {
        "params": traverse_util.unflatten_dict(params),
        "batch_stats": traverse_util.unflatten_dict(statistics),
    }
    return dataclasses.replace(start, variables=variables)


def make_moments_step(
    model: Model,
    preprocessing: Preprocessing,
    stats_labels: Any,
    *,
    augmentation: str,
    axis_name: str,
) -> Callable[[TrainState, Batch, jax.Array], Any]:
    """Makes `step(state, batch, epoch) -> batch_stats`, to be mapped over `axis_name`.

    The result holds the mean and variance of this batch alone, over all devices, in the layers that
    train. Augmentation and dropout are those of the training step; images are neither erased nor
    mixed.

    Args:
        model: The network.
        preprocessing: The preprocessing that belongs to the weights.
        stats_labels: Tree like the batch statistics whose leaves are 'train' or 'freeze'.
        augmentation: A level, a key of `faceemo.config.AUGMENTATIONS`.
        axis_name: Name of the mapped device axis.
    """
    stats_labels = _freeze_other_statistics(stats_labels)

    def step(state: TrainState, batch: Batch, epoch: jax.Array) -> Any:
        shown = training_inputs(state, batch, epoch, model, preprocessing, augmentation)
        # From zero, one update is (1 - momentum) times the batch's own statistic.
        zeros = map_trained(jnp.zeros_like, stats_labels, state.batch_stats)
        _, updated = model.apply(
            state.params,
            zeros,
            shown.inputs,
            train=True,
            mask=batch.mask,
            keys=shown.keys,
            axis_name=axis_name,
        )
        return map_trained(lambda leaf: leaf / (1 - MOMENTUM), stats_labels, updated)

    return step


def recalibrate_batch_stats(
    step: Callable[..., Any],
    state: TrainState,
    stats_labels: Any,
    split: Split,
    config: ConfigDict,
    epoch: int,
) -> Any:
    """Computes batch statistics from one epoch of training images.

    Args:
        step: `make_moments_step`'s, mapped over the devices.
        state: The training state, with a leading device axis.
        stats_labels: Tree like the batch statistics; leaves labelled 'freeze' stay as they are.
        split: The training images.
        config: The run's configuration.
        epoch: Number from 0 of the epoch whose order and augmentation are used.

    Returns:
        The batch statistics, with a leading device axis.
    """
    size = config.batch_size
    batches = epoch_batches(
        split,
        size,
        seed=config.seed,
        epoch=epoch,
        steps=config.steps_per_epoch,
        part=parallel.own_part(size),
        division=Division.from_config(config, split.labels),
    )
    steps = steps_per_epoch(len(split), size, config.steps_per_epoch)
    images, sums = 0.0, {}
    for batch in tqdm(batches, "recalibrating", steps, unit="batch", leave=False, disable=None):
        count = min(size, len(split) - images)
        measured = _flatten(parallel.unreplicate(step(state, parallel.shard(batch), epoch)))
        images += count
        for path, value in measured.items():
            value = value.astype(np.float64)
            if path[-1] == _VARIANCE:
                value += measured[*path[:-1], _MEAN].astype(np.float64) ** 2
            sums[path] = sums.get(path, 0) + count * value
    pooled = {path: total / images for path, total in sums.items()}
    for path in pooled:
        if path[-1] == _VARIANCE:
            pooled[path] = np.maximum(pooled[path] - pooled[*path[:-1], _MEAN] ** 2, 0)
    labels = _flatten(_freeze_other_statistics(stats_labels))
    old = _flatten(parallel.unreplicate(state.batch_stats))
    new = {
        path: pooled[path].astype(np.float32) if labels[path] == TRAIN else old[path]
        for path in old
    }
    return parallel.replicate(traverse_util.unflatten_dict(new))


def _lacks_statistics(batch_stats: Any) -> bool:
    """Returns whether there is BatchNorm and every moving mean is exactly 0."""
    leaves = traverse_util.flatten_dict(batch_stats)
    means = [np.asarray(leaf) for path, leaf in leaves.items() if path[-1] == _MEAN]
    return bool(means) and not any(mean.any() for mean in means)


def _freeze_other_statistics(stats_labels: Any) -> Any:
    """Freezes all but BatchNorm's statistics: EfficientNet's normalisation is no average."""
    return traverse_util.unflatten_dict(
        {
            path: label if path[-1] in (_MEAN, _VARIANCE) else FREEZE
            for path, label in _flatten(stats_labels).items()
        }
    )


def _flatten(tree: Any) -> dict[tuple[str, ...], Any]:
    return cast(dict[tuple[str, ...], Any], traverse_util.flatten_dict(tree))
