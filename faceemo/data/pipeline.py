"""Batches from images in memory: their order, their padding, where an epoch resumes."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from faceemo.config import CLASSES


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One split of a dataset, decoded.

    Attributes:
        images: uint8 [N, S, S], grey.
        labels: int32 [N], positions in `classes`.
        paths: of N files, relative to the folder of unique images.
        classes: their names.
    """

    images: np.ndarray
    labels: np.ndarray
    paths: tuple[str, ...]
    classes: tuple[str, ...] = CLASSES

    def __len__(self) -> int:
        return len(self.labels)

    def class_counts(self) -> np.ndarray:
        """How many images each class has: int64 [C], in the order of `classes`."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)


class Batch(NamedTuple):
    """What one step takes. Padding is zeros under a mask of 0 and has the index -1.

    Attributes:
        images: uint8 [B, S, S].
        labels: int32 [B].
        mask: float32 [B], 1 for an image and 0 for padding.
        index: int32 [B], the image's place in its split, from which its randomness is drawn.
    """

    # NumPy arrays on the host, JAX arrays inside a step.
    images: Any
    labels: Any
    mask: Any
    # Hides tuple.index, which nobody needs here; a tuple is what JAX passes to devices as it is.
    index: Any  # pyright: ignore[reportIncompatibleMethodOverride]


def steps_per_epoch(n: int, batch_size: int, steps: int = 0) -> int:
    """How many batches an epoch over n images has, the partial one included.

    `steps` limits them; 0 does not.
    """
    batches = -(-n // batch_size)
    return min(batches, steps) if steps else batches


def epoch_order(n: int, seed: int | None, epoch: int) -> np.ndarray:
    """The order of one epoch, a permutation int32 [n] that depends on (n, seed, epoch) alone.

    Args:
        n: number of images.
        seed: not negative; None keeps the order of the split.
        epoch: not negative.
    """
    if seed is None:
        return np.arange(n, dtype=np.int32)
    # Sorting raw bits instead of Generator.permutation: NumPy promises to keep the bit stream of
    # Philox across its versions, but not what Generator makes of it.
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
        split: where the images are.
        batch_size: images in a batch.
        seed: of the order (see `epoch_order`); None keeps the order of the split.
        epoch: which epoch's order.
        steps: the epoch ends after its first `steps` batches; 0 goes through all.
        start: the first `start` batches are left out, the others unchanged: an interrupted epoch
            resumes exactly.
    """
    order = epoch_order(len(split), seed, epoch)
    for step in range(start, steps_per_epoch(len(split), batch_size, steps)):
        index = order[step * batch_size : (step + 1) * batch_size]
        padding = batch_size - len(index)
        yield Batch(
            images=padded(split.images[index], padding, 0),
            labels=padded(split.labels[index], padding, 0),
            mask=padded(np.ones(len(index), np.float32), padding, 0),
            index=padded(index, padding, -1),
        )


def padded(array: np.ndarray, padding: int, value: int) -> np.ndarray:
    """`array` with `padding` more rows of `value`."""
    if not padding:
        return array
    return np.concatenate([array, np.full((padding, *array.shape[1:]), value, array.dtype)])
