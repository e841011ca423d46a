"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): mixes each image with a partner.

The papers pair the images of a batch. Here the partner is drawn on the host from the whole training
set, by the image's own index: a pair depends neither on the batch nor on the number of devices.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from faceemo.data.pipeline import Batch, Split, epoch_batches
from faceemo.data.votes.targets import use_votes

# Keeps the draws of partners apart from those of the order, which have the same seed and epoch.
_STREAM = 1


@dataclasses.dataclass(frozen=True)
class Mixing:
    """The settings of mixup and CutMix; with both, each image draws one with equal probability.

    Attributes:
        mixup: Alpha of the beta distribution from which mixup draws an image's share; 0 is off.
        cutmix: Alpha of the beta distribution from which CutMix draws it; 0 is off.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Mixing | None":
        """Reads the fields `mixup` and `cutmix`; returns None if both are 0."""
        return cls(config.mixup, config.cutmix) if config.mixup or config.cutmix else None


class MixedBatch(NamedTuple):
    """A `Batch`, and in `partner` a second one whose rows are mixed into the rows of the first."""

    images: Any
    labels: Any
    mask: Any
    index: Any  # pyright: ignore[reportIncompatibleMethodOverride]
    targets: Any
    partner: Batch


def draw_partners(n: int, seed: int, epoch: int) -> np.ndarray:
    """Draws the partner of each of n images: int32 [n], never the image itself if n > 1."""
    bits = np.random.Philox(np.random.SeedSequence([seed, epoch, _STREAM])).random_raw(n)
    distance = 1 + bits % max(n - 1, 1)
    return ((np.arange(n) + distance.astype(np.int64)) % n).astype(np.int32)


def add_partners(
    batches: Iterable[Batch], split: Split, seed: int, epoch: int
) -> Iterator[MixedBatch]:
    """Yields the batches with a partner for each row; rows of padding get padding."""
    chosen = draw_partners(len(split), seed, epoch)
    for batch in batches:
        real = batch.mask > 0
        index = np.where(real, chosen[batch.index], -1).astype(np.int32)
        images = split.images[index] * real.reshape(-1, *[1] * (split.images.ndim - 1))
        labels = split.labels[index] * real
        yield MixedBatch(
            *batch,
            partner=Batch(
                images=images.astype(split.images.dtype),
                labels=labels.astype(np.int32),
                mask=batch.mask,
                index=index,
                targets=None if split.targets is None else split.targets[index] * real[:, None],
            ),
        )


def training_batches(
    split: Split, config: ConfigDict, epoch: int, start: int = 0
) -> Iterator[Batch | MixedBatch]:
    """Yields the training batches of an epoch, with partners if mixing is configured.

    The labels and targets in them are those of the epoch, see `use_votes`.

    Args:
        split: The training split.
        config: The run's configuration.
        epoch: The epoch's number, from 0.
        start: Number of batches that are skipped, see `epoch_batches`.
    """
    split = use_votes(split, config, epoch)
    batches = epoch_batches(
        split,
        config.batch_size,
        seed=config.seed,
        epoch=epoch,
        steps=config.steps_per_epoch,
        start=start,
    )
    if Mixing.from_config(config):
        return add_partners(batches, split, config.seed, epoch)
    return batches


def mix(
    images: jax.Array, others: jax.Array, keys: jax.Array, mixing: Mixing
) -> tuple[jax.Array, jax.Array]:
    """Mixes each image with its partner.

    Args:
        images: float32 [B, S, S], or [B, S, S, 3].
        others: The partners' images, of the same shape.
        keys: PRNG keys [B], one per image.
        mixing: Settings with at least one of mixup and CutMix.

    Returns:
        The mixed images, of the same shape, and the share of `images` in each, float32 [B]. Under
        mixup the share is the draw from the beta distribution. Under CutMix it is the area outside
        the pasted box, which can exceed the draw because the image's edges cut the box.
    """
    return jax.vmap(lambda image, other, key: _mix_one(image, other, key, mixing))(
        images, others, keys
    )


def _mix_one(
    image: jax.Array, other: jax.Array, key: jax.Array, mixing: Mixing
) -> tuple[jax.Array, jax.Array]:
    for_choice, for_share, for_place = jax.random.split(key, 3)
    if not mixing.cutmix:
        return _blend(image, other, jax.random.beta(for_share, mixing.mixup, mixing.mixup))
    share = jax.random.beta(for_share, mixing.cutmix, mixing.cutmix)
    pasted = _paste(image, other, share, jax.random.uniform(for_place, (2,)))
    if not mixing.mixup:
        return pasted
    share = jax.random.beta(for_share, mixing.mixup, mixing.mixup)
    chosen = jax.random.bernoulli(for_choice)
    return jax.tree.map(
        lambda one, two: jnp.where(chosen, one, two), _blend(image, other, share), pasted
    )


def _blend(image: jax.Array, other: jax.Array, share: jax.Array) -> tuple[jax.Array, jax.Array]:
    return share * image + (1 - share) * other, share


def _paste(
    image: jax.Array, other: jax.Array, share: jax.Array, centre: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Pastes a box of area 1 - share around `centre`, cut at the edges.

    Args:
        image: The image that is pasted over, float32 [S, S] or [S, S, 3].
        other: The image from which the box is taken, of the same shape.
        share: The share of `image`, before the cut.
        centre: The centre of the box (row and column, as shares of the side).
    """
    half = jnp.sqrt(1 - share) / 2
    rows, columns = (
        jnp.abs((jnp.arange(size) + 0.5) / size - place) < half
        for size, place in zip(image.shape[:2], centre, strict=True)
    )
    box = rows[:, None] & columns[None, :]
    inside = box.reshape(*box.shape, *[1] * (image.ndim - 2))
    return jnp.where(inside, other, image), 1 - box.mean()
