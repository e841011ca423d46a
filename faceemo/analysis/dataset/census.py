"""Counts a dataset: images after each stage of the preparation, leaks, and images left out."""

import collections
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo.config import CLASSES, SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.prepare import prepare, tables
from faceemo.data.sample import sample

# split -> class -> images, zeros included
Counts = dict[str, dict[str, int]]
# 'test in train' -> kind of likeness -> class -> images
Leaks = dict[str, dict[str, dict[str, int]]]


@dataclasses.dataclass(frozen=True, eq=False)
class Census:
    """Facts about a dataset, as far as it is prepared.

    Attributes:
        root: Folder of the dataset.
        classes: Names of the classes that occur, the usual ones first.
        images: Path of every original below its folder, sorted.
        rows: Rows of the ledger, in its order; empty before screening.
        stages: Finished stages of `prepare.STAGES`.
        record: The preparation's record of the finished stages.
        drawn: Whether the images are drawings.
        shown_splits: Splits whose images may be looked at; all are counted.
    """

    root: Path
    classes: tuple[str, ...]
    images: tuple[str, ...]
    rows: tuple[Row, ...]
    stages: tuple[str, ...]
    record: Mapping[str, Any]
    drawn: bool
    shown_splits: tuple[str, ...] = SPLITS

    @property
    def shown_images(self) -> list[str]:
        """The paths of the images that may be looked at."""
        return [path for path in self.images if path.split("/")[0] in self.shown_splits]

    @property
    def shown_rows(self) -> list[Row]:
        """The rows of the images that may be looked at."""
        return [row for row in self.rows if row.split in self.shown_splits]

    @property
    def hidden_images(self) -> int:
        """The number of images that are counted and not looked at."""
        return len(self.images) - len(self.shown_images)

    @property
    def threshold(self) -> float:
        """Detector confidence above which an image shows a face; available after screening."""
        return self.record["screen"]["inputs"]["threshold"]

    @property
    def is_comparable(self) -> bool:
        """True if the original project's published counts apply to these images."""
        return tables.find_published("unpack", self.count_images("unpack")) is not None

    def count_images(self, stage: str) -> Counts:
        """Counts the images of each split and class that remain after a finished `stage`."""
        if stage == "unpack":
            keys = [tuple(path.split("/")[:2]) for path in self.images]
        elif stage == "screen":
            keys = [(row.split, row.label) for row in self.rows if row.has_face]
        else:
            keys = [(row.split, row.label) for row in self.rows if row.fate == ledger.KEPT]
        found = collections.Counter(keys)
        return {split: {label: found[split, label] for label in self.classes} for split in SPLITS}

    def published_counts(self, stage: str) -> Counts | None:
        """Returns the original project's counts after `stage`; None if they do not apply."""
        if not self.is_comparable:
            return None
        return {split: dict(counts) for split, counts in tables.PUBLISHED_COUNTS[stage].items()}

    def count_fates(self) -> dict[str, dict[str, collections.Counter[str]]]:
        """Counts the images of each split and class by fate: {split: {class: {fate: images}}}."""
        result: dict[str, dict[str, collections.Counter[str]]] = {
            split: {label: collections.Counter() for label in self.classes} for split in SPLITS
        }
        for row in self.rows:
            result[row.split][row.label][row.fate] += 1
        return result

    def leaks(self) -> tuple[Leaks, Leaks]:
        """Returns the recorded counts of images that occur in another split too.

        The first counts are those among all images, the second those among kept images.
        """
        found = self.record["dedupe"]["leaks"]
        return found["before"], found["after"]

    def groups(self, fate: str) -> list[list[Row]]:
        """Returns whole groups of duplicates in which an image has `fate`, sorted by first member.

        In each group the kept images come first; within both parts, shorter paths come first.
        """
        rules = self.record.get("dedupe", {}).get("inputs", {}).get("rules", {})
        # the policy decides which kind of group determines an image's fate
        strict = rules.get("policy") == "strict"
        members: dict[str, list[Row]] = collections.defaultdict(list)
        for row in self.rows:
            key = row.near_group if strict else row.duplicate_group
            if key is not None:
                members[key].append(row)

        def order(row: Row) -> tuple:
            return row.fate != ledger.KEPT, len(row.path), row.path

        groups = [
            sorted(group, key=order)
            for group in members.values()
            if len(group) > 1 and any(row.fate == fate for row in group)
        ]
        return sorted(groups, key=lambda group: order(group[0]))


def read(root: Path, hashes: Mapping[str, str], *, include_test: bool = True) -> Census:
    """Reads the facts from the files in `root`, without preparing anything.

    A ledger about other images (because a new zip was unpacked) is ignored.

    Args:
        root: Folder of an unpacked dataset.
        hashes: Maps the path of every original to its sha256 (`archive.hash_images`).
        include_test: Whether the images of test may be looked at.
    """
    path = root / prepare.RECORD
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows: Sequence[Row] = ledger.read(root) if "screen" in record else ()
    current = bool(rows) and {row.path: row.sha256 for row in rows} == dict(hashes)
    finished = {"unpack", *(record if current else ())}
    found = {path.split("/")[1] for path in hashes}
    return Census(
        root=root,
        classes=(*(name for name in CLASSES if name in found), *sorted(found - set(CLASSES))),
        images=tuple(sorted(hashes)),
        rows=tuple(rows) if current else (),
        stages=tuple(stage for stage in prepare.STAGES if stage in finished),
        record=record if current else {},
        drawn=(root / sample.MANIFEST_NAME).exists(),
        shown_splits=SPLITS if include_test else tuple(s for s in SPLITS if s != "test"),
    )
