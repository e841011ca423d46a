"""Batches of images: their order, their padding, and resuming inside an epoch."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from faceemo.config import CLASSES
from faceemo.data.disk import ahead
from faceemo.data.disk.stored_images import Images, take
from faceemo.data.division import Division, cut
from faceemo.data.votes.arrays import Votes


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One split of a dataset.

    Attributes:
        images: Grey images, uint8 [N, S, S], or colour ones, uint8 [N, S, S, 3] (RGB), in memory or
            on disk.
        labels: Positions in `classes`, int32 [N].
        paths: Paths of the N files, relative to the folder of unique images.
        classes: Names of the C classes.
        votes: What several annotators say of the images, if they were asked.
        targets: Share of each class in each image's target, float32 [N, C], in the place of the
            label (see `faceemo.data.votes.targets`); None if the labels are the targets.
    """

    images: Images
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


def epoch_order(n: int, seed: int | None, epoch: int, parts: int = 1) -> np.ndarray:
    """Draws the order of one epoch: a permutation int32 [n] of the arguments alone.

    Args:
        n: Number of images.
        seed: Seed from 0; None keeps the order of the split.
        epoch: The epoch's number, from 0.
        parts: Number of parts (see `division.cut`), each of which keeps its places.
    """
    if seed is None:
        return np.arange(n, dtype=np.int32)
    # Sorts raw bits because NumPy keeps the bit stream of Philox across its versions, but not the
    # results of Generator.permutation.
    bits = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(n)
    order = [
        start + np.argsort(bits[start:stop], kind="stable")
        for start, stop in itertools.pairwise(cut(n, parts))
    ]
    return np.concatenate(order).astype(np.int32)


class Part(NamedTuple):
    """The rows of every batch that one process reads, those of its own devices.

    Attributes:
        rows: Rows of a whole batch, which is padded to that number.
        start: The first of the process's rows.
        stop: The first row after them.
    """

    rows: int
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class Rows(Sequence[np.ndarray]):
    """The positions in a split of the images of each batch, a pure function of the fields.

    Item k is int32 [B] for the k-th batch from `start` of `epoch` on, with -1 for padding. The
    object takes no memory for items and can be sent to other processes.

    Each of several parts of the images gives every batch the same number of consecutive rows. As
    the sizes of parts differ by at most one, all end with the same batch, which alone has padding,
    at the end of each part's rows.

    Attributes:
        n: Number of images.
        batch_size: Images per batch.
        seed: Seed of the order (see `epoch_order`); None keeps the order of the split.
        epoch: The first epoch's number, from 0.
        epochs: Number of epochs.
        steps: Largest number of batches of an epoch; 0 does not limit it.
        start: Number of batches of the first epoch that are skipped. The others do not change, so
            that an interrupted epoch resumes exactly.
        part: The rows of each batch that are wanted, or None for all.
        division: The parts of the images, whose number divides `batch_size`; None for one.
    """

    n: int
    batch_size: int
    seed: int | None = None
    epoch: int = 0
    epochs: int = 1
    steps: int = 0
    start: int = 0
    part: Part | None = None
    division: Division | None = None

    def __len__(self) -> int:
        return max(0, self.epochs * self._steps - self.start)

    @property
    def _steps(self) -> int:
        return steps_per_epoch(self.n, self.batch_size, self.steps)

    def locate(self, place: int) -> tuple[int, int]:
        """Returns the epoch of an item, and the number of its batch in that epoch, from 0."""
        place = range(len(self))[place]
        epoch, step = divmod(self.start + place, self._steps)
        return self.epoch + epoch, step

    def __getitem__(self, place: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Returns the positions of the images of a batch."""
        return self.find(self.list_places(place))

    @property
    def parts(self) -> int:
        """Number of parts of the images."""
        return self.division.parts if self.division else 1

    def list_places(self, place: int) -> np.ndarray:
        """Returns the places of a batch's images in the order of `division`: int32 [B], or -1."""
        epoch, step = self.locate(place)
        each, limits = self.batch_size // self.parts, cut(self.n, self.parts)
        taken = limits[:-1, None] + np.arange(step * each, (step + 1) * each)
        order = _epoch_order(self.n, self.seed, epoch, self.parts)
        drawn = order.take(taken, mode="clip")
        drawn[taken >= limits[1:, None]] = -1
        part = self.part or Part(self.batch_size, 0, self.batch_size)
        return pad_rows(drawn.ravel(), part.rows - drawn.size, -1)[part.start : part.stop]

    def find(self, places: np.ndarray) -> np.ndarray:
        """Returns the positions in the split of places in the order of `division`; -1 stays -1."""
        if self.division is None:
            return places
        return np.where(places >= 0, self.division.order[places], np.int32(-1))


# Consecutive batches need the same order; those that are read ahead may be of the next epoch.
_epoch_order = functools.lru_cache(maxsize=4)(epoch_order)


def epoch_batches(
    split: Split,
    batch_size: int,
    *,
    seed: int | None = None,
    epoch: int = 0,
    steps: int = 0,
    start: int = 0,
    part: Part | None = None,
    division: Division | None = None,
) -> Iterator[Batch]:
    """Yields the batches of one epoch: every image once, the last batch padded to full size.

    The arguments are the split whose images are batched, and the fields of `Rows`.
    """
    rows = Rows(len(split), batch_size, seed, epoch, 1, steps, start, part, division)
    for index, images in zip(rows, ahead.read(split.images, rows), strict=True):
        yield make_batch(split, index, images)


def make_batch(split: Split, index: np.ndarray, images: np.ndarray) -> Batch:
    """Makes a batch of images with what belongs to them.

    Args:
        split: Where they come from.
        index: Their positions, int32 [B], -1 for padding.
        images: The images, uint8 [B, S, S] or [B, S, S, 3], zeros for padding.
    """
    return Batch(
        images=images,
        labels=take(split.labels, index),
        mask=(index >= 0).astype(np.float32),
        index=index,
        targets=None if split.targets is None else take(split.targets, index),
    )


def pad_rows(array: np.ndarray, padding: int, value: int) -> np.ndarray:
    """Appends `padding` rows of `value` to `array`."""
    if not padding:
        return array
    return np.concatenate([array, np.full((padding, *array.shape[1:]), value, array.dtype)])
