"""Difference hashes of a network's training images, by which these are found in any dataset.

Near hashes do not prove that two images show the same photo, but few of the images that show the
same one escape: of 600 training images of `builtin-four`, all but two were found after compression
(JPEG at quality 75 or 50) or resizing (32, 96, 128 or 400 pixels). Images that were cropped anew
are not found. Other faces are taken for training images by mistake; the file tells how many.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from faceemo import staging
from faceemo.assets import builtin
from faceemo.data.ledger.ledger import Row
from faceemo.data.measure import hashing

MAX_DISTANCE = 4  # bits
_BATCH = 500  # images that are compared at a time


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingHashes:
    """The images that a network was trained on.

    Attributes:
        images: sha256 of their pixels and labels, as in the recipe of the network.
        hashes: Their difference hashes, uint64 [N].
        mistaken: Of how many other faces, the images of the splits that did not train, how many are
            taken for training images: int64 [2], the number taken and the number of faces.
    """

    images: str
    hashes: np.ndarray
    mistaken: np.ndarray

    @property
    def mistaken_share(self) -> float:
        """The share of other faces that are taken for training images."""
        taken, faces = self.mistaken.tolist()
        return taken / faces

    @classmethod
    def read(cls, path: Path) -> "TrainingHashes":
        """Reads a file that `write` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(str(stored["images"]), stored["hashes"], stored["mistaken"])

    def write(self, path: Path) -> None:
        """Writes a file, whole or not at all; an older one is replaced."""
        with staging.file(path) as partial, partial.open("wb") as file:
            hashes, images = np.sort(self.hashes), np.array(self.images)
            np.savez(file, images=images, hashes=hashes, mistaken=self.mistaken)

    def find(self, rows: Iterable[Row]) -> frozenset[str]:
        """Finds the images that are among the training images, as they are or mirrored.

        Args:
            rows: Rows with their measured fields.

        Returns:
            The paths of images whose hash differs in at most `MAX_DISTANCE` bits from that of a
            training image, and of images without a hash.
        """
        rows = list(rows)
        found = {row.path for row in rows if row.dhash is None or row.dhash_mirrored is None}
        hashed = [row for row in rows if row.path not in found]
        for field in ("dhash", "dhash_mirrored"):
            own = hashing.from_hex([getattr(row, field) for row in hashed])
            for start in range(0, len(own), _BATCH):
                bits = own[start : start + _BATCH, None] ^ self.hashes
                near = (np.bitwise_count(bits) <= MAX_DISTANCE).any(axis=1)
                found |= {hashed[start + place].path for place in np.flatnonzero(near)}
        return frozenset(found)


def read_all() -> dict[str, TrainingHashes]:
    """Reads the training images of the networks that come with faceemo, by `images`."""
    known = (TrainingHashes.read(builtin.hashes_file(name)) for name in builtin.FOLDERS)
    return {one.images: one for one in known}
