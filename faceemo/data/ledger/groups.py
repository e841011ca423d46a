"""Groups of images that show the same photo: equal, nearly equal or mirrored.

Everything here follows from the rows of a ledger and the rules; no pixel is read, and the order
of the rows does not matter. Two images that match in any of `KINDS` are called twins.
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
# The centre of a group comes from the split with the lowest number: images that measure a model
# stay before images that train it.
_PRIORITY = {"test": 0, "validation": 1, "train": 2}


@dataclasses.dataclass(frozen=True)
class Membership:
    """The match between an image and the centre of its group."""

    centre: Row  # the image that all others of the group match
    distance: int = 0  # bits in which the two hashes differ
    similarity: float | None = 1.0  # None if equal hashes join images whose pixels are not alike
    mirrored: bool = False


class Twins:
    """An index that finds the twins of every row.

    A file that cannot be decoded has no twins, even if another file holds the same bytes.

    Args:
        rows: Rows with their measured fields.
        rules: Rules that say which near and mirrored images are twins.
    """

    def __init__(self, rows: Sequence[Row], rules: Rules):
        rows = [row for row in rows if not row.problem]
        # Only values that several rows share: most rows share none, and a list for each of them
        # would take more memory than the row.
        self._same: dict[str, dict[str, list[Row]]] = {}
        self._splits: dict[str, dict[str, set[str]]] = {}
        for kind, field in _FIELDS.items():
            uses = collections.Counter(getattr(row, field) for row in rows)
            groups = self._same[kind] = collections.defaultdict(list)
            for row in rows:
                value = getattr(row, field)
                if value is not None and uses[value] > 1:
                    groups[value].append(row)
            self._splits[kind] = {
                value: {row.split for row in group} for value, group in groups.items()
            }
        first: dict[str, Row] = {}
        for row in rows:
            if row.pixels_sha256 is not None:
                first.setdefault(row.pixels_sha256, row)
        self._near: dict[str, list[Likeness]] = {}
        # The rows of the images that likenesses name, by their pixels.
        self._alike: dict[str, list[Row]] = {}
        for pixels, row in first.items():
            # a likeness may name an image that is not among `rows`
            near_ones = [
                likeness
                for likeness in row.similar
                if likeness.pixels_sha256 in first
                and near.is_match(likeness, rules.near_distance, rules.near_similarity)
            ]
            if near_ones:
                self._near[pixels] = near_ones
                for likeness in near_ones:
                    other = likeness.pixels_sha256
                    self._alike[other] = self._same[PIXELS].get(other, [first[other]])

    def other_splits(self, row: Row, kind: str) -> set[str]:
        """Returns the other splits that hold a twin of `row`.

        Args:
            row: A row of the index.
            kind: One of `KINDS`. Near and mirrored twins are images with other pixels.
        """
        if kind in _FIELDS:
            found = self._splits[kind].get(getattr(row, _FIELDS[kind]), set())
        else:
            found = {
                twin.split
                for likeness in self._near.get(row.pixels_sha256 or "", ())
                if likeness.mirrored == (kind == MIRRORED)
                for twin in self._alike[likeness.pixels_sha256]
            }
        return found - {row.split}

    def equal_rows(self, row: Row, kind: str) -> list[Row]:
        """Returns all rows with the same bytes, pixels or hash, `row` included.

        Args:
            row: A row of the index.
            kind: `BYTES`, `PIXELS` or `DHASH`.

        Returns:
            The rows; [] if `row` has no such value.
        """
        value = getattr(row, _FIELDS[kind])
        if value is None or row.problem:
            return []
        return self._same[kind].get(value, [row])

    def matches(self, row: Row) -> Iterator[tuple[Row, Membership]]:
        """Yields all rows that match `row` by pixels, likeness or hash, best matches first.

        A row may come more than once, and `row` itself comes too.

        Yields:
            A row, and its membership in a group whose centre is `row`.
        """
        for twin in self.equal_rows(row, PIXELS):
            yield twin, Membership(row)
        likenesses = sorted(
            self._near.get(row.pixels_sha256 or "", ()),
            key=lambda one: (-one.similarity, one.distance, one.mirrored, one.pixels_sha256),
        )
        for likeness in likenesses:
            membership = Membership(row, likeness.distance, likeness.similarity, likeness.mirrored)
            for twin in self._alike[likeness.pixels_sha256]:
                yield twin, membership
        for twin in self.equal_rows(row, DHASH):
            yield twin, Membership(row, 0, None)


def build_groups(rows: Sequence[Row], rules: Rules) -> dict[str, Membership]:
    """Groups images so that all images of a group match its centre.

    Nothing is chained: two images that match a third, but not each other, are together only if
    the third is the centre. Test images come first as centres, then validation, then train, and
    within a split the lowest FER row. A test image with twins in other splits is always a centre,
    and before all others, so that its twins leave for an image that they match.

    Args:
        rows: Rows with their measured fields.
        rules: Rules that say which near and mirrored images match.

    Returns:
        The membership of each image by its path, without the images that match no other.
    """
    twins = Twins(rows, rules)
    leading = {
        row.path
        for row in rows
        if row.split == "test" and any(twins.other_splits(row, kind) for kind in KINDS)
    }
    order = sorted(
        rows,
        key=lambda row: (row.path not in leading, _PRIORITY[row.split], row_sort_key(row.path)),
    )
    grouped: dict[str, Membership] = {}
    for row in order:
        if row.path in grouped:
            continue
        members = {}
        for twin, membership in twins.matches(row):
            if twin.path != row.path and twin.path not in grouped and twin.path not in leading:
                members.setdefault(twin.path, membership)
        if members:
            grouped |= {row.path: Membership(row)} | members
    return grouped


def row_sort_key(path: str) -> tuple:
    """Returns a key that sorts paths by FER row: numeric names first, the others naturally.

    Natural order compares runs of digits as numbers, so that 'face10' follows 'face9'.
    """
    name = PurePosixPath(path).stem
    runs = re.split(r"([0-9]+)", name)  # text and digits in turn, so like meets like
    natural = tuple(int(run) if index % 2 else run for index, run in enumerate(runs))
    return re.fullmatch(r"[0-9]+", name) is None, natural, path
