"""A dataset counted: what each stage of the preparation left, what leaks, what was left out."""

import collections
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from faceemo.config import CLASSES, SPLITS
from faceemo.data import dedupe, ledger, prepare, sample, tables
from faceemo.data.ledger import Row

Counts = dict[str, dict[str, int]]  # split -> class -> images, zeros included


@dataclasses.dataclass(frozen=True, eq=False)
class Census:
    """What is known of a dataset as far as it is prepared.

    Attributes:
        root: folder of the dataset.
        classes: those that occur, the usual ones first.
        images: path of every original below its folder, sorted.
        rows: the ledger's, in its order; empty before screening.
        stages: finished ones, of `prepare.STAGES`.
        threshold: a face is where the detector's confidence is above it; None before screening.
        drawn: whether the images are drawings.
    """

    root: Path
    classes: tuple[str, ...]
    images: tuple[str, ...]
    rows: tuple[Row, ...]
    stages: tuple[str, ...]
    threshold: float | None
    drawn: bool

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
        return tables.ORIGINAL[stage] if self.comparable else None

    def fates(self) -> dict[str, dict[str, collections.Counter[str]]]:
        """How many images of each split and class have each fate: {split: {class: fates}}."""
        result: dict[str, dict[str, collections.Counter[str]]] = {
            split: {label: collections.Counter() for label in self.classes} for split in SPLITS
        }
        for row in self.rows:
            result[row.split][row.label][row.fate] += 1
        return result

    def leaks(self) -> tuple[dedupe.Leaks, dedupe.Leaks]:
        """Images of one split that occur in another: among all, and among those kept."""
        kept = [row for row in self.rows if row.fate == ledger.KEPT]
        return dedupe.leaks(self.rows), dedupe.leaks(kept)

    def groups(self, fate: str) -> list[list[Row]]:
        """The groups of duplicates in which an image has `fate`, whole, by their first member.

        In each the kept image comes first, the others in order of FER row.
        """
        members: dict[str, list[Row]] = collections.defaultdict(list)
        for row in self.rows:
            if row.duplicate_group is not None:
                members[row.duplicate_group].append(row)

        def order(row: Row) -> tuple:
            return (row.fate != ledger.KEPT, *dedupe.row_order(row.path))

        groups = [
            sorted(group, key=order)
            for group in members.values()
            if any(row.fate == fate for row in group)
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
        threshold=record["screen"]["inputs"]["threshold"] if current else None,
        drawn=(root / sample.MANIFEST_NAME).exists(),
    )
