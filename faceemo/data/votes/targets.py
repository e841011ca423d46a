"""The targets that votes give the training images of an epoch (Barsoum et al. 2016)."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from faceemo.config.field_words import spell
from faceemo.data.pipeline import Split
from faceemo.data.votes.counting import DISTRIBUTION, LABEL, SAMPLED
from faceemo.errors import UserError

# Keeps these draws apart from those of the order and of the partners (`faceemo.data.pipeline`,
# `faceemo.data.augment.mixing`), which have the same seed and epoch.
_STREAM = 2


def refuse_missing(config: ConfigDict, train: Split) -> None:
    """Refuses to train on votes that there are not.

    Args:
        config: The run's configuration.
        train: The training images.

    Raises:
        UserError: If the configured targets are made of votes, and nobody voted.
    """
    if config.targets == LABEL or train.votes is not None:
        return
    raise UserError(
        expected=f"the votes of several annotators on the training images, of which "
        f"targets='{config.targets}' are made",
        found="no votes",
        fix=f"name a table of them with {spell('votes')}, or give {spell('targets', LABEL)}",
    )


def use_votes(train: Split, config: ConfigDict, epoch: int) -> Split:
    """Returns the training images with the targets that they have in an epoch.

    Images on which no vote for a class is left keep their label.

    Args:
        train: The training images.
        config: The run's configuration, of which `targets` and `seed` count.
        epoch: The epoch's number, from 0.

    Returns:
        The split with `targets` set for 'distribution', with other `labels` for 'sampled', and as
        it is otherwise.
    """
    if config.targets not in (DISTRIBUTION, SAMPLED):
        return train
    shares = fill_shares(train)
    if config.targets == DISTRIBUTION:
        return dataclasses.replace(train, targets=shares)
    return dataclasses.replace(train, labels=draw_labels(shares, config.seed, epoch))


def fill_shares(split: Split) -> np.ndarray:
    """Returns each image's shares of the votes, or 1 for its label if no vote is left.

    Args:
        split: Images with votes.

    Returns:
        float32 [N, C]; every row has the sum 1.
    """
    assert split.votes is not None
    shares = split.votes.distribution.copy()
    lacking = np.flatnonzero(~shares.any(axis=1))
    shares[lacking, split.labels[lacking]] = 1
    return shares


def draw_labels(shares: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Draws one class for each image with the probabilities `shares`.

    Args:
        shares: float [N, C]; every row has the sum 1.
        seed: The run's seed.
        epoch: The epoch's number, from 0.

    Returns:
        int32 [N]. The draw of an image depends on seed, epoch and the image's position alone.
    """
    bits = np.random.Philox(np.random.SeedSequence([seed, epoch, _STREAM])).random_raw(len(shares))
    drawn = (bits >> np.uint64(11)) * 2.0**-53  # float64, from 0 to below 1
    limits = np.cumsum(shares, axis=1, dtype=np.float64)
    # Exactly 1 at the end, so that no draw is beyond it, and no class without votes is drawn.
    limits /= limits[:, -1:]
    return (drawn[:, None] >= limits).sum(axis=1).astype(np.int32)
