"""Batches of images in memory: their order, their padding, and resuming inside an epoch."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from faceemo.config import CLASSES
from faceemo.data.votes.arrays import Votes


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One decoded split of a dataset.

    Attributes:
        images: Grey images, uint8 [N, S, S], or colour ones, uint8 [N, S, S, 3] (RGB).
        labels: Positions in `classes`, int32 [N].
        paths: Paths of the N files, relative to the folder of unique images.
        classes: Names of the C classes.
        votes: What several annotators say of the images, if they were asked.
        targets: Share of each class in each image's target, float32 [N, C], in the place of the
            label (see `faceemo.data.votes.targets`); None if the labels are the targets.
    """

    images: np.ndarray
    labels: np.ndarray
    paths: tuple[str, ...]
    classes: tuple[str, ...] = CLASSES
    votes: Votes | None = None
    targets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def class_counts(self) -> np.ndarray:
        """Counts the images of each class: int64 [C], in the order of `classes`."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)


class Batch(NamedTuple):
    """The input of one step. Rows of padding are zeros with the mask 0 and the index -1.

    Attributes:
        images: uint8 [B, S, S] or [B, S, S, 3].
        labels: int32 [B].
        mask: 1 for an image and 0 for padding, float32 [B].
        index: Each image's position in its split, which seeds its randomness, int32 [B].
        targets: Share of each class in each image's target, float32 [B, C]; None if the labels are
            the targets.
    """

    # NumPy arrays on the host, JAX arrays inside a step.
    images: Any
    labels: Any
    mask: Any
    # Hides tuple.index, which is not needed here; a named tuple is a pytree without registration.
    index: Any  # pyright: ignore[reportIncompatibleMethodOverride]
    targets: Any = None


def steps_per_epoch(n: int, batch_size: int, steps: int = 0) -> int:
    """Returns the number of batches of an epoch over n images, the partial one included.

    Args:
        n: Number of images.
        batch_size: Images per batch.
        steps: Largest number of batches; 0 does not limit it.
    """
    batches = -(-n // batch_size)
    return min(batches, steps) if steps else batches


def epoch_order(n: int, seed: int | None, epoch: int) -> np.ndarray:
    """Draws the order of one epoch: a permutation int32 [n] of (n, seed, epoch) alone.

    Args:
        n: Number of images.
        seed: Seed from 0; None keeps the order of the split.
        epoch: The epoch's number, from 0.
    """
    if seed is None:
        return np.arange(n, dtype=np.int32)
    # Sorts raw bits because NumPy keeps the bit stream of Philox across its versions, but not the
    # results of Generator.permutation.
    bits = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(n)
    return np.argsort(bits, kind="stable").astype(np.int32)


def epoch_batches(
    split: Split,
    batch_size: int,
    *,
    seed: int | None = None,
    epoch: int = 0,
    steps: int = 0,
    start: int = 0,
) -> Iterator[Batch]:
    """Yields the batches of one epoch: every image once, the last batch padded to full size.

    Args:
        split: The split whose images are batched.
        batch_size: Images per batch.
        seed: Seed of the order (see `epoch_order`); None keeps the order of the split.
        epoch: The epoch's number, from 0.
        steps: Largest number of batches of the epoch; 0 does not limit it.
        start: Number of batches that are skipped. The others do not change, so that an interrupted
            epoch resumes exactly.
    """
    order = epoch_order(len(split), seed, epoch)
    for step in range(start, steps_per_epoch(len(split), batch_size, steps)):
        index = order[step * batch_size : (step + 1) * batch_size]
        padding = batch_size - len(index)
        yield Batch(
            images=pad_rows(split.images[index], padding, 0),
            labels=pad_rows(split.labels[index], padding, 0),
            mask=pad_rows(np.ones(len(index), np.float32), padding, 0),
            index=pad_rows(index, padding, -1),
            targets=None if split.targets is None else pad_rows(split.targets[index], padding, 0),
        )


def pad_rows(array: np.ndarray, padding: int, value: int) -> np.ndarray:
    """Appends `padding` rows of `value` to `array`."""
    if not padding:
        return array
    return np.concatenate([array, np.full((padding, *array.shape[1:]), value, array.dtype)])
