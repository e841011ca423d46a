"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): mixes each image with a partner.

The papers pair the images of a batch. Here the partner is drawn on the host from the whole training
set, or from the image's part of it (`faceemo.data.division`), by the image's own place: a pair
depends neither on the batch nor on the number of devices.
"""

import dataclasses
import functools
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from faceemo.data.disk import ahead
from faceemo.data.division import Division, cut
from faceemo.data.pipeline import Batch, Part, Rows, Split, make_batch
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


def draw_partners(n: int, seed: int, epoch: int, parts: int = 1) -> np.ndarray:
    """Draws the partner of each of n images from its own part of them (see `division.cut`).

    Returns:
        int32 [n]; the partner is never the image itself, unless the part has no other.
    """
    bits = np.random.Philox(np.random.SeedSequence([seed, epoch, _STREAM])).random_raw(n)
    limits = cut(n, parts)
    sizes = np.diff(limits)
    start, size = np.repeat(limits[:-1], sizes), np.repeat(sizes, sizes)
    distance = 1 + bits % np.maximum(size - 1, 1).astype(np.uint64)
    place = np.arange(n) - start + distance.astype(np.int64)
    return (start + place % size).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class _Pairs(Sequence[np.ndarray]):
    """The positions of the images of each batch and of their partners: items int32 [2, B]."""

    rows: Rows
    seed: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows, places = self.rows, self.rows.list_places(place)
        chosen = _draw_partners(rows.n, self.seed, rows.locate(place)[0], rows.parts)
        partners = np.where(places >= 0, chosen[places], np.int32(-1))
        return np.stack([rows.find(places), rows.find(partners)])


_draw_partners = functools.lru_cache(maxsize=4)(draw_partners)


def training_batches(
    split: Split,
    config: ConfigDict,
    epoch: int,
    start: int = 0,
    *,
    epochs: int = 1,
    part: Part | None = None,
) -> Generator[Batch | MixedBatch, None, None]:
    """Yields the training batches of some epochs, with partners if mixing is configured.

    The labels and targets in them are those of their epoch, see `use_votes`.

    Args:
        split: The training split.
        config: The run's configuration.
        epoch: The first epoch's number, from 0.
        start: Number of batches of that epoch that are skipped, see `Rows`.
        epochs: Number of epochs.
        part: The rows of each batch that are wanted, or None for all.
    """
    seed = config.seed
    rows = Rows(
        *(len(split), config.batch_size, seed, epoch, epochs, config.steps_per_epoch, start, part),
        division=Division.from_config(config, split.labels),
    )
    mixing = Mixing.from_config(config)
    items = _Pairs(rows, seed) if mixing else rows
    shown, shown_in = split, None
    for place, images in enumerate(ahead.read(split.images, items, config.data_workers)):
        epoch, _ = rows.locate(place)
        if epoch != shown_in:
            shown, shown_in = use_votes(split, config, epoch), epoch
        if mixing:
            first, partner = map(make_batch, (shown, shown), items[place], images)
            yield MixedBatch(*first, partner=partner)
        else:
            yield make_batch(shown, items[place], images)


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
