"""What a sample of a source's images tells of all: how large they are, and whether in colour."""

import contextlib
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from faceemo.data.measure.colour import shows_colour
from faceemo.data.measure.decode import load_small, open_image
from faceemo.data.source.sources import Source

_MEASURED, _DECODED = 200, 50  # images whose size is read, and those of them that are decoded
_SIDE = 32  # pixels, to which it is reduced


class Sample(NamedTuple):
    """Facts about a sample of images.

    Attributes:
        side: Median of their shorter sides, pixels; 0 if none can be read.
        decoded: Number of images that were decoded.
        coloured: Number of those that show colour.
    """

    side: int
    decoded: int
    coloured: int

    @property
    def in_colour(self) -> bool:
        """Whether more than half of the images show colour."""
        return 2 * self.coloured > self.decoded


def sample_images(source: Source, paths: Sequence[str]) -> Sample:
    """Samples images evenly over their paths, always the same ones.

    Args:
        source: Their source.
        paths: Their paths in it.
    """
    sides, coloured = [], []
    chosen = paths[:: -(-len(paths) // _MEASURED)] if paths else []
    every = -(-len(chosen) // _DECODED)
    for number, (_, content) in enumerate(source.read_files(chosen)):
        # those that Pillow cannot read raise anything; the preparation reports them
        with contextlib.suppress(Exception), open_image(content) as image:
            sides.append(min(image.size))
            if number % every == 0:
                coloured.append(shows_colour(load_small(image, len(content), _SIDE)))
    side = int(statistics.median_high(sides)) if sides else 0
    return Sample(side, len(coloured), sum(coloured))
