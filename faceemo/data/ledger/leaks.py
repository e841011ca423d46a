"""Counts of images of one split that occur in another, by kind of match and class."""

import collections
from collections.abc import Sequence

from faceemo.data.ledger import ledger
from faceemo.data.ledger.groups import KINDS, Twins
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules

# Name of each pair -> the split whose images are counted, the split that is searched for twins.
SPLIT_PAIRS = {
    "validation in train": ("validation", "train"),
    "test in train": ("test", "train"),
    "test in validation": ("test", "validation"),
}
ANY_KIND = "any of these"

Leaks = dict[str, dict[str, dict[str, int]]]  # SPLIT_PAIRS -> KINDS and ANY_KIND -> class -> images


def count_leaks(rows: Sequence[Row], rules: Rules) -> Leaks:
    """Counts the images of one split that have a twin in another, by class of the former.

    Each kind is counted for itself: images with the same bytes have the same pixels too. Near and
    mirrored twins have other pixels.

    Args:
        rows: All rows of a ledger, or only those of the images that are kept.
        rules: Rules that say which near and mirrored images are twins.
    """
    twins = Twins(rows, rules)
    labels = ledger.list_classes(rows)
    counts = collections.Counter()
    for row in rows:
        found = {kind: twins.other_splits(row, kind) for kind in KINDS}
        found[ANY_KIND] = set().union(*found.values())
        for pair, (split, other) in SPLIT_PAIRS.items():
            if row.split == split:
                counts.update((pair, kind, row.label) for kind in found if other in found[kind])
    return {
        pair: {
            kind: {label: counts[pair, kind, label] for label in labels}
            for kind in (*KINDS, ANY_KIND)
        }
        for pair in SPLIT_PAIRS
    }
