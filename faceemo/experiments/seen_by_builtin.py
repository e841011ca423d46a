"""Images that the network that comes with faceemo has probably learned: how many, and a list."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.assets import builtin
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.training_hashes import TrainingHashes
from faceemo.errors import escape_name
from faceemo.train.checkpoint import provenance

NAME = f"seen_by_{builtin.NAME}.csv"


def find_seen(
    recipe: Mapping[str, Any], rows: Iterable[Row], paths: Iterable[str]
) -> list[Row] | None:
    """Finds images that resemble training images of the network that comes with faceemo.

    Args:
        recipe: The record of a network, which may be that one or have learned from it.
        rows: The rows of the ledger.
        paths: Paths of the images to look at, as a `Split` has them.

    Returns:
        The rows of these images; None if the network has not learned from that one.
    """
    known = TrainingHashes.read(builtin.TRAINING_HASHES)
    if known.images not in {recipe["data"]["train"], *provenance.find_other_images(recipe)}:
        return None
    wanted = frozenset(paths)
    rows = [row for row in rows if escape_name(row.path) in wanted]
    found = known.find(rows)
    return [row for row in rows if row.path in found]


def describe(seen: Sequence[Row], images: int, place: Path | None = None) -> str:
    """Describes what `find_seen` found, in one sentence.

    Args:
        seen: The rows found.
        images: How many images were looked at.
        place: The file that lists them, if any.
    """
    listed = f", listed in {place}" if place else ""
    return (
        f"{len(seen):,} of the {images:,} images that are scored resemble training images of "
        f"'{builtin.NAME}'{listed}; of other photographs of faces about 5% do by chance, so a "
        "share well above that means that accuracy on them is too high"
    )


def write_list(path: Path, seen: Sequence[Row]) -> None:
    """Writes the images that `find_seen` found as a CSV with path, split and label."""
    with staging.file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "split", "label"))
        rows.writerows((escape_name(row.path), row.split, escape_name(row.label)) for row in seen)
