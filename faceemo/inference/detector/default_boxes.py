"""The default boxes of the detector, which its outputs move: Caffe's layer PriorBox."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class DefaultBoxes:
    """The default boxes for one size of images.

    Attributes:
        centres: Shares of the image, float32 [P, (x, y)].
        sides: Shares of the image, float32 [P, (width, height)].
        variances: What the outputs are multiplied by, float32 [P, 4].
    """

    centres: np.ndarray
    sides: np.ndarray
    variances: np.ndarray

    def move(self, which: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """Moves some of the boxes.

        Args:
            which: Their indices, [M].
            moves: What the network says of each, float32 [M, 4].

        Returns:
            Edges as shares of the image, float32 [M, (left, top, right, bottom)].
        """
        sides, moves = self.sides[which], moves * self.variances[which]
        centres = self.centres[which] + moves[:, :2] * sides
        half = np.exp(moves[:, 2:]) * sides / 2
        return np.concatenate([centres - half, centres + half], 1)


def make_default_boxes(
    maps: Sequence[Mapping[str, Any]], shapes: Sequence[tuple[int, int]], size: tuple[int, int]
) -> DefaultBoxes:
    """Computes the default boxes of all maps, one map after the other, row by row.

    Args:
        maps: The descriptions of the maps, by `res10_graph.make_graph`.
        shapes: Rows and columns of each map.
        size: Width and height of the images, pixels.
    """
    centres, sides, variances = [], [], []
    for one, (rows, columns) in zip(maps, shapes, strict=True):
        own = np.asarray(one["sizes"])
        row, column = np.mgrid[:rows, :columns]
        places = (np.stack([column, row], -1).reshape(-1, 2) + one["offset"]) * one["step"]
        centres.append(np.repeat(places / size, len(own), axis=0))
        sides.append(np.tile(own / size, (len(places), 1)))
        variances.append(np.tile(one["variance"], (len(places) * len(own), 1)))
    joined = (np.concatenate(parts).astype(np.float32) for parts in (centres, sides, variances))
    return DefaultBoxes(*joined)
