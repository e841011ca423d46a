"""Counts images of one split that have a twin in another, and whether the labels of the two agree.

This audits the splits of a published set: the counts are of all its images that can be decoded,
whether the preparation keeps them or not.
"""

import collections
import dataclasses
from collections.abc import Sequence

from faceemo.data.ledger.groups import DHASH, MIRRORED, NEAR, PIXELS, Membership, Twins
from faceemo.data.ledger.leaks import ANY_KIND, SPLIT_PAIRS
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules

# Each image counts once, for the closest of its twins.
KINDS = (PIXELS, DHASH, NEAR, MIRRORED)


@dataclasses.dataclass
class TwinCount:
    """Images of one split that have a twin in another.

    Attributes:
        images: Number of the images.
        alike: Those whose twins all have their label.
        conflicts: Pairs of labels, the image's and a twin's, with their numbers of images.
    """

    images: int = 0
    alike: int = 0
    conflicts: collections.Counter = dataclasses.field(default_factory=collections.Counter)


def count_twins(rows: Sequence[Row], rules: Rules) -> dict[str, dict[str, TwinCount]]:
    """Counts the images with twins by pair of splits and by the closest kind of match.

    Labels are those of the source, also where votes gave others.

    Args:
        rows: All rows of a ledger.
        rules: Rules that say which near and mirrored images are twins.

    Returns:
        {pair of `SPLIT_PAIRS`: {kind of `KINDS` or `ANY_KIND`: count}}.
    """
    twins = Twins(rows, rules)
    counts = {pair: {kind: TwinCount() for kind in (*KINDS, ANY_KIND)} for pair in SPLIT_PAIRS}
    for row in rows:
        if row.problem:
            continue
        matches = [
            (twin, _find_kind(row, twin, membership)) for twin, membership in twins.matches(row)
        ]
        for pair, (split, other) in SPLIT_PAIRS.items():
            found = [(twin, kind) for twin, kind in matches if twin.split == other]
            if row.split != split or not found:
                continue
            closest = min((kind for _, kind in found), key=KINDS.index)
            others = {label_of(twin) for twin, _ in found} - {label_of(row)}
            for kind in (closest, ANY_KIND):
                count = counts[pair][kind]
                count.images += 1
                count.alike += not others
                count.conflicts.update((label_of(row), label) for label in others)
    return counts


def label_of(row: Row) -> str:
    """Returns the label that the source gives an image."""
    return row.given_label or row.label


def _find_kind(row: Row, twin: Row, membership: Membership) -> str:
    if row.pixels_sha256 == twin.pixels_sha256:
        return PIXELS
    if membership.similarity is None:
        return DHASH
    return MIRRORED if membership.mirrored else NEAR
