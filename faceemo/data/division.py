"""The division of a training split into parts, so that a host needs the files of its own alone.

Images are stored in order of their class, of which a host would hold one or two if it held a piece
of that order. The parts are cut from another order, in which every piece has its share of all
classes, so that partners for mixup and CutMix, which come from an image's own part, can be of any.
"""

import dataclasses

import numpy as np
from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True, eq=False)
class Division:
    """N images in several parts, whose sizes differ by at most one.

    Attributes:
        order: Positions in the split, int32 [N], in the order that is cut into parts.
        parts: Number of parts.
    """

    order: np.ndarray
    parts: int

    @classmethod
    def from_config(cls, config: ConfigDict, labels: np.ndarray) -> "Division | None":
        """Divides the training images as `data_parts` says; returns None if that is 1.

        Args:
            config: The run's configuration.
            labels: The images' own labels, int [N].
        """
        return cls(mix_classes(labels), config.data_parts) if config.data_parts > 1 else None


def cut(n: int, parts: int) -> np.ndarray:
    """Cuts n places into parts: part q is from result[q] to before result[q + 1].

    Returns:
        int64 [parts + 1]: q * n // parts. Of k * P parts, every k-th limit is one of P parts, so
        that the images of a process that reads k of them do not depend on k.
    """
    return np.arange(parts + 1) * n // parts


def mix_classes(labels: np.ndarray) -> np.ndarray:
    """Orders images such that every piece of the order has about the same share of each class.

    Images of a class keep their order, so that those in a piece are neighbours in the split.

    Args:
        labels: int [N].

    Returns:
        Positions in the split, int32 [N].
    """
    reached = np.empty(len(labels))  # the share of its class up to the middle of each image
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        reached[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.argsort(reached, kind="stable").astype(np.int32)


def list_part(labels: np.ndarray, part: int, parts: int) -> np.ndarray:
    """Returns the images of one of the parts of a training split.

    Args:
        labels: The images' own labels, int [N].
        part: Number of the part, from 0.
        parts: Number of parts.

    Returns:
        Ascending positions in the split, int32.
    """
    start, stop = cut(len(labels), parts)[[part, part + 1]]
    return np.sort(mix_classes(labels)[start:stop])
