"""A dataset counted: what each stage of the preparation left, what leaks, what was left out."""

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

Counts = dict[str, dict[str, int]]  # split -> class -> images, zeros included
Leaks = dict[
    str, dict[str, dict[str, int]]
]  # 'test in train' -> kind of likeness -> class -> images


@dataclasses.dataclass(frozen=True, eq=False)
class Census:
    """What is known of a dataset as far as it is prepared.

    Attributes:
        root: folder of the dataset.
        classes: those that occur, the usual ones first.
        images: path of every original below its folder, sorted.
        rows: the ledger's, in its order; empty before screening.
        stages: finished ones, of `prepare.STAGES`.
        record: of the finished stages, as the preparation wrote it.
        drawn: whether the images are drawings.
    """

    root: Path
    classes: tuple[str, ...]
    images: tuple[str, ...]
    rows: tuple[Row, ...]
    stages: tuple[str, ...]
    record: Mapping[str, Any]
    drawn: bool

    @property
    def threshold(self) -> float:
        """A face is where the detector's confidence is above it; there is one after screening."""
        return self.record["screen"]["inputs"]["threshold"]

    @property
    def comparable(self) -> bool:
        """Whether the original project's published counts say anything about these images."""
        return not self.drawn and set(self.classes) == set(CLASSES)

    def counts(self, stage: str) -> Counts:
        """How many images of each split and class are left after a finished `stage`."""
        if stage == "unpack":
            keys = [tuple(path.split("/")[:2]) for path in self.images]
        elif stage == "screen":
            keys = [(row.split, row.label) for row in self.rows if row.has_face]
        else:
            keys = [(row.split, row.label) for row in self.rows if row.fate == ledger.KEPT]
        found = collections.Counter(keys)
        return {split: {label: found[split, label] for label in self.classes} for split in SPLITS}

    def published(self, stage: str) -> Counts | None:
        """The original's counts after `stage`, where they are comparable."""
        if not self.comparable:
            return None
        return {split: dict(counts.items()) for split, counts in tables.ORIGINAL[stage].items()}

    def fates(self) -> dict[str, dict[str, collections.Counter[str]]]:
        """How many images of each split and class have each fate: {split: {class: fates}}."""
        result: dict[str, dict[str, collections.Counter[str]]] = {
            split: {label: collections.Counter() for label in self.classes} for split in SPLITS
        }
        for row in self.rows:
            result[row.split][row.label][row.fate] += 1
        return result

    def leaks(self) -> tuple[Leaks, Leaks]:
        """Images of one split that occur in another: among all, and among those kept.

        As the finished search for duplicates recorded them.
        """
        found = self.record["dedupe"]["leaks"]
        return found["before"], found["after"]

    def groups(self, fate: str) -> list[list[Row]]:
        """The groups of duplicates in which an image has `fate`, whole, by their first member.

        In each the kept image comes first, the others by path.
        """
        rules = self.record.get("dedupe", {}).get("inputs", {}).get("rules", {})
        # Which kind of group decides an image's fate is a rule of the preparation.
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


def read(root: Path, hashes: Mapping[str, str]) -> Census:
    """What the files in `root` say, without doing any of the preparation.

    A ledger about other images than these (a new zip was unpacked) counts as none.

    Args:
        root: folder of an unpacked dataset.
        hashes: path of every original -> its sha256 (`archive.hashes`).
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
    )
