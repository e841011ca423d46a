"""Images that the network that comes with faceemo has probably learned: how many, and a list."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.analysis.statistics import wilson_interval
from faceemo.assets import builtin
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.training_hashes import TrainingHashes
from faceemo.data.source import source_paths
from faceemo.errors import escape_name
from faceemo.train.checkpoint import provenance

NAME = f"seen_by_{builtin.NAME}.csv"
# Faces that are no training images but resemble one, of how many (`training_hashes`).
_BY_CHANCE = (232, 4881)


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


def is_only_origin(recipe: Mapping[str, Any]) -> bool:
    """Returns whether a run learns from no other run's images but those of `builtin`.

    Args:
        recipe: The run's record, see `provenance.make_recipe`.
    """
    known = TrainingHashes.read(builtin.TRAINING_HASHES)
    return provenance.find_other_images(recipe).keys() == {known.images}


def exceeds_chance(seen: Sequence[Row], images: int) -> bool:
    """Returns whether `find_seen` found more than chance gives; see `describe`."""
    return wilson_interval(len(seen), images)[0] > _BY_CHANCE[0] / _BY_CHANCE[1]


def describe(seen: Sequence[Row], images: int, place: Path | str | None = None) -> str:
    """Describes what `find_seen` found: the share, whether chance explains it, and what to do.

    Args:
        seen: The rows found.
        images: How many images were looked at, from 1.
        place: The file that lists them, if any.
    """
    if not seen:
        return (
            f"none of the {images:,} images that are scored resembles a training image of "
            f"'{builtin.NAME}'"
        )
    low, high = wilson_interval(len(seen), images)
    chance = _BY_CHANCE[0] / _BY_CHANCE[1]
    if exceeds_chance(seen, images):
        remove = (
            "remove these files from your images (the list has their paths as source_path), or "
        )
        verdict = (
            f"this is more, so accuracy on them is too high. Fix: {remove if place else ''}judge "
            "on other images"
        )
    elif high < chance:
        verdict = "this is less"
    else:
        verdict = f"this may be chance, because the interval includes {chance:.1%}"
    listed = f" (listed in {place})" if place else ""
    return (
        f"{len(seen):,} of the {images:,} images that are scored ({len(seen) / images:.1%}, 95% "
        f"interval {low:.1%} to {high:.1%}) resemble training images of '{builtin.NAME}'{listed}. "
        f"Of other photographs of faces {chance:.1%} do by chance; {verdict}"
    )


def write_list(path: Path, seen: Sequence[Row], root: Path) -> None:
    """Writes the images that `find_seen` found as a CSV with path, split, label and source_path.

    Args:
        path: The file.
        seen: The rows found.
        root: Folder of the dataset, which knows the paths in the user's source.
    """
    names, _ = source_paths.name_in_source(root, [row.path for row in seen])
    with staging.file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "split", "label", "source_path"))
        for row, name in zip(seen, names, strict=True):
            rows.writerow(map(escape_name, (row.path, row.split, row.label, name)))
