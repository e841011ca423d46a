"""All images of a split: read once, in order, each compared with what it should be.

For images that stay on disk, the facts that need every pixel are computed at that time and kept in
a file, so that no later start of a run has to decode all of them.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceemo import staging
from faceemo.data.disk import ahead
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.measure.colour import count_colourless
from faceemo.data.pipeline import Split
from faceemo.errors import escape_name

_CHUNK = 256  # images that are read at once
_FACTS = ("digest", "labelled_digest", "colourless")


def load(stored: StoredImages, labels: np.ndarray, paths: Sequence[str]) -> np.ndarray:
    """Decodes all images into memory: uint8 [N, S, S] or [N, S, S, 3].

    Args:
        stored: N images.
        labels: Their labels, int [N].
        paths: Their paths below the folder of unique images.

    Raises:
        UserError: If a file is missing or damaged.
    """
    images, chunks = np.empty(stored.shape, np.uint8), _Chunks(stored, labels, paths)
    for number in range(len(chunks)):
        images[number * _CHUNK : (number + 1) * _CHUNK] = chunks(number)
    return images


def place(splits: dict[str, Split], memory: float) -> dict[str, Split]:
    """Decodes the images of all splits into memory if they take no more bytes than `memory`."""
    if sum(split.images.nbytes for split in splits.values()) > memory:
        return splits
    return {
        name: dataclasses.replace(split, images=load(split.images, split.labels, split.paths))
        if isinstance(split.images, StoredImages)
        else split
        for name, split in splits.items()
    }


def survey(
    stored: StoredImages, labels: np.ndarray, paths: Sequence[str], record: Path
) -> StoredImages:
    """Completes stored images with the facts that need all of them (see `StoredImages`).

    Args:
        stored: N images.
        labels: Their labels, int32 [N].
        paths: Their paths below the folder of unique images.
        record: JSON file that holds the facts, and is written if it does not.

    Raises:
        UserError: If a file is missing or damaged.
    """
    told = hashlib.sha256(labels.tobytes()).hexdigest()
    known: dict[str, Any] = json.loads(record.read_text()) if record.is_file() else {}
    if known.get("labels") != told or known.get("shape") != list(stored.shape):
        chunks = _Chunks(stored, labels, paths)
        total, colourless = hashlib.sha256(), 0
        size = _CHUNK * stored.nbytes // max(len(stored), 1)
        for images in ahead.compute_ahead(chunks, len(chunks), size):
            total.update(images.data)
            colourless += count_colourless(images) if images.ndim == 4 else 0
        digest = total.hexdigest()
        total.update(labels.tobytes())
        known = {"shape": stored.shape, "labels": told, "digest": digest}
        known |= {"labelled_digest": total.hexdigest(), "colourless": colourless}
        with staging.file(record) as partial:
            partial.write_text(json.dumps(known, indent=2) + "\n")
    return dataclasses.replace(stored, **{name: known[name] for name in _FACTS})


class _Chunks:
    """Decodes `_CHUNK` images by their number in the order of the split."""

    def __init__(self, stored: StoredImages, labels: np.ndarray, paths: Sequence[str]):
        self._stored, self._labels, self._paths = stored, labels, paths

    def __len__(self) -> int:
        return -(-len(self._stored) // _CHUNK)

    def __call__(self, number: int) -> np.ndarray:
        rows = range(len(self._stored))[number * _CHUNK : (number + 1) * _CHUNK]
        images = np.empty((len(rows), *self._stored.shape[1:]), np.uint8)
        for place, row in enumerate(rows):
            found, path = self._stored.read(row), escape_name(self._paths[row])
            if (found.path, found.label) != (path, int(self._labels[row])):
                raise AssertionError(f"example {row} is {found.path}, {found.label}, not {path}")
            images[place] = self._stored.decode(row, found)
        return images
