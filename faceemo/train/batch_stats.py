"""Statistics for a network that came without: BatchNorm begins where the images are.

Where a BatchNorm was folded into the convolution before it, its mean and variance are gone; in
training mode the batch's own would take their place and change what the network computes. Here each
that trains gets the mean and variance of what enters it, and gamma and beta move by as much as
makes up for it.
"""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict

from faceemo.data.augment.augment import enlarge
from faceemo.data.pipeline import Split
from faceemo.models import Model
from faceemo.models.layers.batch_norm import BatchNorm, moments
from faceemo.models.preprocessing import Preprocessing, preprocess

BATCHES, BATCH = 16, 32


def settled(
    config: ConfigDict,
    model: Model,
    variables: dict[str, Any],
    preprocessing: Preprocessing,
    split: Split,
) -> dict[str, Any]:
    """`variables` that compute the same in inference, and nearly so in training mode.

    They are returned as they came if they are random, have statistics, or will not be in training
    mode. Of up to 512 images of `split`, from all over it and not augmented, the statistics are.

    Args:
        config: of the run.
        model: of the variables.
        variables: {'params', 'batch_stats'}, with the initial weights.
        preprocessing: of the weights.
        split: the training images.
    """
    only_head = model.trained == {model.blocks[-1].name}
    if config.weights == "none" or model.moving_statistics or only_head:
        return variables
    if not _lacks_statistics(variables["batch_stats"]):
        return variables
    epsilons: dict[str, float] = {}

    @jax.jit
    def seen(params: Any, batch_stats: Any, images: jax.Array) -> dict[str, Any]:
        """Mean and variance of what enters each BatchNorm, by its name."""
        found = {}

        def spy(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            layer = context.module
            if isinstance(layer, BatchNorm) and layer.block in model.trained:
                found[layer.name] = moments(args[0], None, None)
                epsilons[str(layer.name)] = layer.epsilon
            return call(*args, **kwargs)

        inputs = preprocess(enlarge(images, model.image_size), preprocessing)
        with nn.intercept_methods(spy):
            model.features(params, batch_stats, inputs)
        return found

    batches = [
        seen(variables["params"], variables["batch_stats"], split.images[rows])
        for rows in np.linspace(0, len(split) - 1, BATCHES * BATCH, dtype=int).reshape(BATCHES, -1)
    ]
    params: dict[Any, Any] = traverse_util.flatten_dict(variables["params"])
    statistics: dict[Any, Any] = traverse_util.flatten_dict(variables["batch_stats"])
    for name, epsilon in epsilons.items():
        layer = ("backbone", name)
        pairs = [np.asarray(batch[name], np.float64) for batch in batches]
        means, variances = np.stack(pairs, axis=1)
        mean = means.mean(0)
        variance = variances.mean(0) + means.var(0)
        old_mean, old_variance, gamma, beta = (
            np.asarray(tree[*layer, kind], np.float64)
            for tree, kind in (
                *((statistics, "moving_mean"), (statistics, "moving_variance")),
                *((params, "gamma"), (params, "beta")),
            )
        )
        scale = gamma / np.sqrt(old_variance + epsilon)
        params[*layer, "gamma"] = np.float32(scale * np.sqrt(variance + epsilon))
        params[*layer, "beta"] = np.float32(beta + scale * (mean - old_mean))
        statistics[*layer, "moving_mean"] = np.float32(mean)
        statistics[*layer, "moving_variance"] = np.float32(variance)
    return {
        "params": traverse_util.unflatten_dict(params),
        "batch_stats": traverse_util.unflatten_dict(statistics),
    }


def _lacks_statistics(batch_stats: Any) -> bool:
    """Whether there is BatchNorm, and every moving mean is exactly 0."""
    leaves = traverse_util.flatten_dict(batch_stats)
    means = [np.asarray(leaf) for path, leaf in leaves.items() if path[-1] == "moving_mean"]
    return bool(means) and not any(mean.any() for mean in means)
