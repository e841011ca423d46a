"""How much of what was planted in the drawn sample the preparation has found."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo.data.ledger.ledger import Row
from faceemo.data.sample import sample

_TWINS = ("exact_duplicate", "near_duplicate", "leak_validation", "leak_test", "conflict")
_BLANK = 0.9


@dataclasses.dataclass(frozen=True)
class Recall:
    """What was found of one kind of flaw; an item is an image, or a pair of images."""

    planted: int
    found: int  # of those planted
    wrong: int  # found, but planted nowhere

    @property
    def recall(self) -> float:
        """Share of the planted that was found; 1 where nothing was planted."""
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        """Share of the found that was planted; 1 where nothing was found."""
        return self.found / (self.found + self.wrong) if self.found + self.wrong else 1.0


def read_manifest(root: Path) -> dict[str, Any] | None:
    """What was planted in the sample at `root`; None if it is no sample."""
    path = root / sample.MANIFEST_NAME
    return json.loads(path.read_text(encoding="ascii")) if path.is_file() else None


def recall(rows: Sequence[Row], manifest: Mapping[str, Any]) -> dict[str, Recall]:
    """Recall and precision of every kind of flaw that the ledger can tell, by its name.

    Args:
        rows: judged by a policy that leaves out what shows no face.
        manifest: of the sample.
    """
    flaws = manifest["flaws"]

    def images(*kinds: str) -> set:
        return {path for flaw in flaws if flaw["kind"] in kinds for path in flaw["members"]}

    def pairs(*kinds: str) -> set:
        return _pairs(list(flaw["members"]) for flaw in flaws if flaw["kind"] in kinds)

    def flagged(test: Callable[[Row], bool]) -> set:
        return {row.path for row in rows if test(row)}

    exact = _grouped(rows, lambda row: row.exact_group)
    same_hash = _grouped(rows, lambda row: row.duplicate_group)
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
        "unreadable": _compared(images("truncated"), flagged(lambda row: bool(row.problem))),
        "blank": _compared(images("blank"), flagged(lambda row: (row.blank or 0) > _BLANK)),
        "no face": _compared(
            images("blank", "non_face"),
            flagged(lambda row: not row.has_face and not row.problem),
        ),
        "same pixels": _compared(pairs("exact_duplicate"), exact, also=twins),
        "same dHash": _compared(twins, same_hash),
        "conflicting labels": _compared(
            images("conflict"), flagged(lambda row: row.label_conflict)
        ),
        "leak into test": _compared(pairs("leak_test"), into_test),
        "near": _compared(pairs("close_pair"), near - twins),
    }


def table(found: Mapping[str, Recall]) -> str:
    """The result as aligned text."""
    lines = [f"  {'':<20}{'planted':>8}{'found':>8}{'wrong':>8}{'recall':>8}{'precision':>11}"]
    for kind, one in found.items():
        lines.append(
            f"  {kind:<20}{one.planted:>8,}{one.found:>8,}{one.wrong:>8,}"
            f"{one.recall:>8.3f}{one.precision:>11.3f}"
        )
    return "\n".join(lines)


def _compared(planted: set, found: set, also: Iterable = ()) -> Recall:
    """Items in `also` are neither missed nor wrong."""
    return Recall(len(planted), len(planted & found), len(found - planted - set(also)))


def _pairs(groups: Iterable[Iterable[str]]) -> set[frozenset[str]]:
    return {frozenset(pair) for group in groups for pair in itertools.combinations(group, 2)}


def _grouped(rows: Iterable[Row], key: Callable[[Row], str | None]) -> set[frozenset[str]]:
    groups: dict[str, list[str]] = {}
    for row in rows:
        if (group := key(row)) is not None:
            groups.setdefault(group, []).append(row.path)
    return _pairs(groups.values())
