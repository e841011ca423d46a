"""Finds frozen features that are the same for every image, from which a head cannot learn.

MobileNet's weights are an example: at 48 pixels nearly all outputs of its last block are zero.
"""

import jax
import numpy as np
from ml_collections import ConfigDict

from faceemo.config import BACKBONES
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.train import run_log
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
            fix="image_size=128, or let all blocks train (unfreeze=all)",
        )


def measure(start: Start, train: Split) -> float:
    """Measures the features that frozen blocks give some training images.

    Args:
        start: The network with its initial variables.
        train: The training images.

    Returns:
        The share of the head's inputs, from 0 to 1, that are the same for all these images; 0 if
        other blocks train, too, because their features change.
    """
    model = start.model
    if model.trained != {model.blocks[-1].name} or len(train) < 2:
        return 0.0
    rows = np.unique(np.linspace(0, len(train) - 1, _SAMPLE).astype(int))
    features = jax.jit(
        lambda params, batch_stats, images: compute_features(
            model, start.preprocessing, params, batch_stats, images
        )
    )(start.variables["params"], start.variables["batch_stats"], train.images[rows])
    values = np.asarray(features, np.float32).reshape(len(rows), -1)
    return float((np.ptp(values, axis=0) < _SAME).mean())


def refuse(config: ConfigDict, share: float) -> None:
    """Refuses to train a head on features that are the same for every image.

    With random weights that is a warning.

    Args:
        config: The run's configuration.
        share: The result of `measure`.

    Raises:
        UserError: If nearly all features are the same, and the weights are not random.
    """
    if share <= DEAD:
        return
    found = (
        f"{share:.1%} of the features of the frozen blocks are the same (within {_SAME:g}) for all "
        f"of up to {_SAMPLE} training images, with weights={config.weights} at "
        f"image_size={config.image_size}, so that the head learns nothing from them"
    )
    fix = "give a larger image_size or other weights, or let all blocks train (unfreeze=all)"
    if config.weights != "none":
        raise UserError(
            expected="features of the frozen blocks that differ from image to image",
            found=found,
            fix=fix,
        )
    run_log.warn(f"{found}. Fix: {fix}")
