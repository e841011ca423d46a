"""Recall and precision of the preparation on the flaws planted in the drawn sample."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo.data.ledger.ledger import Row
from faceemo.data.sample import sample

_TWINS = ("exact_duplicate", "near_duplicate", "leak_validation", "leak_test", "conflict")
_MIN_BLANKNESS = 0.9


@dataclasses.dataclass(frozen=True)
class FlawCounts:
    """The counts of one kind of flaw. The items are images or pairs of images.

    Attributes:
        planted: Number of planted items.
        found: Number of planted items that were found.
        wrong: Number of items that were found but not planted.
    """

    planted: int
    found: int
    wrong: int

    @property
    def recall(self) -> float:
        """Share of the planted items that were found; 1 if nothing was planted."""
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        """Share of the found items that were planted; 1 if nothing was found."""
        return self.found / (self.found + self.wrong) if self.found + self.wrong else 1.0


def read_manifest(root: Path) -> dict[str, Any] | None:
    """Reads the manifest of the sample at `root`; returns None if `root` holds no sample."""
    path = root / sample.MANIFEST_NAME
    return json.loads(path.read_text(encoding="ascii")) if path.is_file() else None


def count_flaws(rows: Sequence[Row], manifest: Mapping[str, Any]) -> dict[str, FlawCounts]:
    """Counts, for every kind of flaw that the ledger can show, how many were planted and found.

    Args:
        rows: Rows of the ledger, judged by a policy that leaves out images without a face.
        manifest: The sample's manifest.

    Returns:
        Counts by the name of the kind.
    """
    flaws = manifest["flaws"]

    def images(*kinds: str) -> set:
        return {path for flaw in flaws if flaw["kind"] in kinds for path in flaw["members"]}

    def pairs(*kinds: str) -> set:
        return _pairs(list(flaw["members"]) for flaw in flaws if flaw["kind"] in kinds)

    def flagged(test: Callable[[Row], bool]) -> set:
        return {row.path for row in rows if test(row)}

    exact = _group_pairs(rows, lambda row: row.exact_group)
    same_hash = _group_pairs(rows, lambda row: row.duplicate_group)
    twins = pairs(*_TWINS)
    near = {
        frozenset((row.path, row.near_group))
        for row in rows
        if row.near_group and row.near_group != row.path
    }
    into_test = {
        frozenset((row.path, other.path))
        for row in rows
        if row.split == "test" and row.leaks
        for other in rows
        if other.split != "test" and other.dhash == row.dhash
    }
    return {
        "unreadable": _compare(images("truncated"), flagged(lambda row: bool(row.problem))),
        "blank": _compare(images("blank"), flagged(lambda row: (row.blank or 0) > _MIN_BLANKNESS)),
        "no face": _compare(
            images("blank", "non_face"),
            flagged(lambda row: not row.has_face and not row.problem),
        ),
        "same pixels": _compare(pairs("exact_duplicate"), exact, allowed=twins),
        "same dHash": _compare(twins, same_hash),
        "conflicting labels": _compare(images("conflict"), flagged(lambda row: row.label_conflict)),
        "leak into test": _compare(pairs("leak_test"), into_test),
        "near": _compare(pairs("close_pair"), near - twins),
    }


def format_flaws(found: Mapping[str, FlawCounts]) -> str:
    """Formats the result of `count_flaws` as aligned text."""
    lines = [f"  {'':<20}{'planted':>8}{'found':>8}{'wrong':>8}{'recall':>8}{'precision':>11}"]
    for kind, one in found.items():
        lines.append(
            f"  {kind:<20}{one.planted:>8,}{one.found:>8,}{one.wrong:>8,}"
            f"{one.recall:>8.3f}{one.precision:>11.3f}"
        )
    return "\n".join(lines)


def _compare(planted: set, found: set, allowed: Iterable = ()) -> FlawCounts:
    """Counts planted and found items; found items in `allowed` do not count as wrong."""
    return FlawCounts(len(planted), len(planted & found), len(found - planted - set(allowed)))


def _pairs(groups: Iterable[Iterable[str]]) -> set[frozenset[str]]:
    return {frozenset(pair) for group in groups for pair in itertools.combinations(group, 2)}


def _group_pairs(rows: Iterable[Row], key: Callable[[Row], str | None]) -> set[frozenset[str]]:
    """Returns all pairs of paths whose rows have the same `key`, which is not None."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        if (group := key(row)) is not None:
            groups.setdefault(group, []).append(row.path)
    return _pairs(groups.values())
