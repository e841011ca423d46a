"""Images that a network of those in faceemo has probably learned: how many, and a list."""

import csv
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.analysis.statistics import wilson_interval
from faceemo.assets import builtin
from faceemo.data.ledger import training_hashes
from faceemo.data.ledger.ledger import Row
from faceemo.data.source import source_paths
from faceemo.errors import escape_name
from faceemo.train.checkpoint import provenance

NAME = f"seen_by_{builtin.NAME}.csv"


@dataclasses.dataclass(frozen=True)
class Seen:
    """Images that resemble training images of the networks in faceemo that a network learned from.

    Attributes:
        rows: Their rows of the ledger.
        images: How many images were looked at, from 1.
        chance: Share of other photographs of faces that resemble such training images, too.
    """

    rows: Sequence[Row]
    images: int
    chance: float

    def exceeds_chance(self) -> bool:
        """Returns whether more images were found than chance gives."""
        return wilson_interval(len(self.rows), self.images)[0] > self.chance

    def describe(self, place: Path | str | None = None) -> str:
        """Describes what was found: the share, whether chance explains it, and what to do.

        Args:
            place: The file that lists the images, if any.
        """
        if not self.rows:
            return (
                f"none of the {self.images:,} images that are scored resembles a training image of "
                f"'{builtin.NAME}'"
            )
        found = len(self.rows)
        low, high = wilson_interval(found, self.images)
        if self.exceeds_chance():
            remove = (
                "remove these files from your images (the list has their paths as source_path), or "
            )
            verdict = (
                "this is more, so accuracy on them is too high. Fix: "
                f"{remove if place else ''}judge on other images"
            )
        elif high < self.chance:
            verdict = "this is less"
        else:
            verdict = f"this may be chance, because the interval includes {self.chance:.1%}"
        listed = f" (listed in {place})" if place else ""
        return (
            f"{found:,} of the {self.images:,} images that are scored "
            f"({found / self.images:.1%}, 95% interval {low:.1%} to {high:.1%}) resemble training "
            f"images of '{builtin.NAME}'{listed}. Of other photographs of faces {self.chance:.1%} "
            f"do by chance; {verdict}"
        )


def find_seen(recipe: Mapping[str, Any], rows: Iterable[Row], paths: Iterable[str]) -> Seen | None:
    """Finds images that resemble training images of the networks that come with faceemo.

    Args:
        recipe: The record of a network, which may be one of those or have learned from them.
        rows: The rows of the ledger.
        paths: Paths of the images to look at, as a `Split` has them; at least one.

    Returns:
        What was found; None if the network has not learned from those that come with faceemo.
    """
    known = training_hashes.read_all()
    origins = {recipe["data"]["train"], *provenance.find_other_images(recipe)} & known.keys()
    if not origins:
        return None
    asked = frozenset(paths)
    rows = [row for row in rows if escape_name(row.path) in asked]
    found = frozenset().union(*(known[images].find(rows) for images in origins))
    # At most: an image may resemble those of both networks.
    chance = min(1.0, sum(known[images].mistaken_share for images in origins))
    return Seen([row for row in rows if row.path in found], len(asked), chance)


def is_only_origin(recipe: Mapping[str, Any]) -> bool:
    """Returns whether a run learns from images of the networks in faceemo, and no other run's.

    Args:
        recipe: The run's record, see `provenance.make_recipe`.
    """
    others = provenance.find_other_images(recipe).keys()
    return bool(others) and others <= training_hashes.read_all().keys()


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
