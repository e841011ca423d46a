"""Which images of a dataset a trained network has learned the labels of."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from faceemo import data
from faceemo.config import ImageFormat
from faceemo.data.ledger import ledger, training_hashes
from faceemo.data.ledger.ledger import Row
from faceemo.data.measure.decode import read_image
from faceemo.data.pipeline import Split
from faceemo.data.source import archive
from faceemo.errors import UserError
from faceemo.train.checkpoint import provenance


def make_finder(
    recipe: Mapping[str, Any], workdir: Path, root: Path
) -> Callable[[Sequence[Row]], frozenset[str]]:
    """Makes the function that finds the images whose labels a run has learned.

    These are the training images of the dataset, all images that have a twin among them, and, if
    the run learned from a network that comes with faceemo, the training images of that one.

    Args:
        recipe: The run's record.
        workdir: The run's folder, for messages.
        root: Folder of the dataset.

    Raises:
        UserError: If the run was trained on the images of another folder, or learned from a network
            whose training images are not known.
    """
    _refuse_other_dataset(recipe, workdir, root)
    known = training_hashes.read_all()
    inherited = provenance.find_other_images(recipe).keys()
    if inherited - known.keys():
        raise UserError(
            expected=f"a run that learned only from {root}, or from faceemo's own networks too",
            found=f"one in {workdir} whose initial weights or teachers learned from other images",
            fix="name another run, or omit --workdir",
        )

    def find(rows: Sequence[Row]) -> frozenset[str]:
        own = {row.path for row in rows if row.split == "train" or "train" in row.leaks}
        return frozenset(own.union(*(known[images].find(rows) for images in inherited)))

    return find


def digest(root: Path, classes: Sequence[str], form: ImageFormat) -> str:
    """Computes the digest of a dataset's kept training images, as in the recipe of a run on them.

    Args:
        root: Folder of the dataset.
        classes: The run's classes in their order; images of others do not count.
        form: The format of the run's images.
    """
    rows = [
        row
        for row in ledger.read(root)
        if row.split == "train" and row.fate == ledger.KEPT and row.label in classes
    ]
    images = [read_image(root / archive.FOLDER / row.path, form) for row in rows]
    labels = np.array([classes.index(row.label) for row in rows], np.int32)
    stacked = np.stack(images) if images else np.empty((0, *form.shape), np.uint8)
    paths = tuple(row.path for row in rows)
    return provenance.digest_split(Split(stacked, labels, paths, tuple(classes)))


def _refuse_other_dataset(recipe: Mapping[str, Any], workdir: Path, root: Path) -> None:
    config = ConfigDict(recipe["config"])
    here = data.dataset_root(config).resolve() == root.resolve()
    form = ImageFormat.from_config(config)
    if not here and digest(root, recipe["classes"], form) != recipe["data"]["train"]:
        raise UserError(
            expected=f"a run that was trained on the images in {root}",
            found=f"one in {workdir} that was trained on those in {data.dataset_root(config)}",
            fix="give that folder as --data-dir, or omit --workdir",
        )
