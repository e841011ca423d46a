"""Which images show the same photograph: by bytes, by pixels, by hash, nearly, mirrored.

Everything here follows from the rows of a ledger and the rules; no pixel is read, and the order
of the rows does not matter.
"""

import collections
import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from faceemo.data.ledger import near
from faceemo.data.ledger.ledger import Likeness, Row
from faceemo.data.ledger.rules import Rules

BYTES, PIXELS, DHASH, NEAR, MIRRORED = KINDS = (
    "same bytes",
    "same pixels",
    "same dHash",
    "near",
    "mirrored",
)
_FIELDS = {BYTES: "sha256", PIXELS: "pixels_sha256", DHASH: "dhash"}
# Whose images stand for a group that spans splits: those that measure, before those that teach.
_PRIORITY = {"test": 0, "validation": 1, "train": 2}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an image stands in its group."""

    centre: Row  # the image that all others of the group match
    distance: int = 0
    similarity: float | None = 1.0  # None where equal hashes join what the pixels do not
    mirrored: bool = False


class Twins:
    """The twins of every image of some rows.

    Args:
        rows: with their measured fields.
        rules: how near is near.
    """

    def __init__(self, rows: Sequence[Row], rules: Rules):
        self._same: dict[str, dict[str, list[Row]]] = {}
        self._splits: dict[str, dict[str, set[str]]] = {}
        for kind, field in _FIELDS.items():
            groups = self._same[kind] = collections.defaultdict(list)
            for row in rows:
                if (value := getattr(row, field)) is not None:
                    groups[value].append(row)
            self._splits[kind] = {
                value: {row.split for row in group} for value, group in groups.items()
            }
        self._near: dict[str, list[Likeness]] = {}
        for pixels, same in self._same[PIXELS].items():
            # only what is there can be a twin
            self._near[pixels] = [
                likeness
                for likeness in same[0].similar
                if likeness.pixels_sha256 in self._same[PIXELS]
                and near.matches(likeness, rules.near_distance, rules.near_similarity)
            ]

    def splits(self, row: Row, kind: str) -> set[str]:
        """The other splits that hold a twin of `row` in one of `KINDS`.

        Of the last two kinds are only images with other pixels.
        """
        if kind in _FIELDS:
            value = getattr(row, _FIELDS[kind])
            found = self._splits[kind].get(value, set())
        else:
            found = {
                split
                for likeness in self._near.get(row.pixels_sha256 or "", ())
                if likeness.mirrored == (kind == MIRRORED)
                for split in self._splits[PIXELS][likeness.pixels_sha256]
            }
        return found - {row.split}

    def equals(self, row: Row, kind: str) -> list[Row]:
        """All rows with the same bytes, pixels or hash, `row` among them; [] if it has none."""
        return self._same[kind].get(getattr(row, _FIELDS[kind]), [])

    def matching(self, row: Row) -> Iterator[tuple[Row, Place]]:
        """All that match `row`, each with its place in a group around `row`; the best come first.

        A row may come more than once, and `row` itself comes too.
        """
        for twin in self.equals(row, PIXELS):
            yield twin, Place(row)
        likenesses = sorted(
            self._near.get(row.pixels_sha256 or "", ()),
            key=lambda one: (-one.similarity, one.distance, one.mirrored, one.pixels_sha256),
        )
        for likeness in likenesses:
            place = Place(row, likeness.distance, likeness.similarity, likeness.mirrored)
            for twin in self._same[PIXELS][likeness.pixels_sha256]:
                yield twin, place
        for twin in self.equals(row, DHASH):
            yield twin, Place(row, 0, None)


def stars(rows: Sequence[Row], rules: Rules) -> dict[str, Place]:
    """Groups of images that all match their group's centre: {path: its place}.

    Nothing is chained: two images that match a third, but not each other, are together only if
    the third is the centre. Test images come first as centres, then validation, then train, and
    of one split the lowest FER row. A test image with twins in other splits is always a centre,
    and before all others, so that its twins leave for an image that they match.

    Args:
        rows: that take part.
        rules: how near is near.

    Returns:
        The places of the images that are not alone.
    """
    twins = Twins(rows, rules)
    leading = {
        row.path
        for row in rows
        if row.split == "test" and any(twins.splits(row, kind) for kind in KINDS)
    }
    order = sorted(
        rows,
        key=lambda row: (row.path not in leading, _PRIORITY[row.split], row_order(row.path)),
    )
    taken: dict[str, Place] = {}
    for row in order:
        if row.path in taken:
            continue
        members = {}
        for twin, place in twins.matching(row):
            if twin.path != row.path and twin.path not in taken and twin.path not in leading:
                members.setdefault(twin.path, place)
        if members:
            taken |= {row.path: Place(row)} | members
    return taken


def row_order(path: str) -> tuple:
    """Sorts paths by FER row number: numeric names first, the others after them naturally.

    Natural order compares runs of digits as numbers, so that 'face10' follows 'face9'.
    """
    name = PurePosixPath(path).stem
    runs = re.split(r"([0-9]+)", name)  # text and digits in turn, so like meets like
    natural = tuple(int(run) if index % 2 else run for index, run in enumerate(runs))
    return re.fullmatch(r"[0-9]+", name) is None, natural, path
