"""Finds frozen features that are the same for every image, from which a head cannot learn.

MobileNet's weights are an example: at 48 pixels nearly all outputs of its last block are zero.
"""

import jax
import numpy as np
from ml_collections import ConfigDict

from faceemo.config import BACKBONES
from faceemo.config.field_words import spell
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.train import parallel, run_log
from faceemo.train.feature_cache import compute_features
from faceemo.train.start import Start

# Share of constant features from which on a head has nothing to learn from. At the smallest useful
# sizes of MobileNet it was 0.75 and 0.88, below them 0.996 and more.
DEAD = 0.95
# Largest range of a feature that counts as the same for all images. The ranges of features from
# which heads learned were a hundred times as large and more; those of MobileNet with random weights
# are near 1e-20.
_SAME = 1e-4
# Number of training images, spread evenly over the split, whose features are compared.
_SAMPLE = 16


def refuse_known(config: ConfigDict) -> None:
    """Refuses sizes of images at which a frozen network is known to have dead features.

    Raises:
        UserError: If only the head trains, on such images.
    """
    smallest = BACKBONES[config.arch].smallest_frozen.get(config.weights, 0)
    if config.unfreeze == "0" and config.image_size < smallest:
        raise UserError(
            expected=f"image_size={smallest} or more for {config.arch} with frozen blocks and "
            f"weights={config.weights}",
            found=f"image_size={config.image_size}, at which nearly all features of the frozen "
            "blocks are zero for every image, so that the head learns nothing",
            fix=f"give {spell('image_size', 128)}, or let all blocks train "
            f"({spell('unfreeze', 'all')})",
        )


def measure(config: ConfigDict, start: Start, train: Split) -> float:
    """Measures the features that frozen blocks give some training images.

    Args:
        config: The run's configuration.
        start: The network with its initial variables.
        train: The training images.

    Returns:
        The share of the head's inputs, from 0 to 1, that are the same for all these images; 0 if
        all blocks train, or some train from random weights.
    """
    model = start.model
    some = model.trained != {model.blocks[-1].name}
    whole = model.trained >= {block.name for block in model.blocks}
    if whole or (some and config.weights == "none") or len(train) < 2:
        return 0.0
    rows = np.unique(np.linspace(0, len(train) - 1, _SAMPLE).astype(int))
    features = jax.jit(
        lambda params, batch_stats, images: compute_features(
            model, start.preprocessing, params, batch_stats, images
        )
    )(
        start.variables["params"],
        start.variables["batch_stats"],
        parallel.take_everywhere(train.images, rows),
    )
    values = np.asarray(features, np.float32).reshape(len(rows), -1)
    return float((np.ptp(values, axis=0) < _SAME).mean())


def refuse(config: ConfigDict, start: Start, share: float) -> None:
    """Refuses to train a head on features that are the same for every image.

    If other blocks train, too, or the weights are random, that is a warning. From `faceres` at 48
    pixels the loss stayed at ln(4) with one block (four epochs of 593 images) and hardly fell with
    three; from `builtin-four` it fell with both.

    Args:
        config: The run's configuration.
        start: The network with its initial variables.
        share: The result of `measure`.

    Raises:
        UserError: If nearly all features are the same, the weights are not random, and only the
            head trains.
    """
    if share <= DEAD:
        return
    found = (
        f"{share:.1%} of the features that enter the head are the same (within {_SAME:g}) for all "
        f"of up to {_SAMPLE} training images, with weights={config.weights} at "
        f"image_size={config.image_size}"
    )
    fix = (
        f"give a larger {spell('image_size')} or other {spell('weights')}, or let all blocks train "
        f"({spell('unfreeze', 'all')})"
    )
    if start.model.trained != {start.model.blocks[-1].name}:
        run_log.warn(f"{found}, so that this run may learn slowly or not at all. Fix: {fix}")
    elif config.weights == "none":
        run_log.warn(f"{found}, so that the head learns nothing from them. Fix: {fix}")
    else:
        raise UserError(
            expected="features of the frozen blocks that differ from image to image",
            found=f"{found}, so that the head would learn nothing from them",
            fix=fix,
        )
