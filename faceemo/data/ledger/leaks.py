"""How many images of one split occur in another, by each way to tell, class by class."""

import collections
from collections.abc import Sequence

from faceemo.data.ledger import ledger
from faceemo.data.ledger.groups import KINDS, Twins
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules

# Which split is searched for images of which other.
PAIRS = {
    "validation in train": ("validation", "train"),
    "test in train": ("test", "train"),
    "test in validation": ("test", "validation"),
}
ANY = "any of these"

Leaks = dict[str, dict[str, dict[str, int]]]  # PAIRS -> KINDS and ANY -> class -> images


def count(rows: Sequence[Row], rules: Rules) -> Leaks:
    """How many images of one split have a twin in another, by class of the former.

    Each kind is counted for itself: images with the same bytes have the same pixels too. Near and
    mirrored twins have other pixels.

    Args:
        rows: of the images that are there: all of a ledger, or those that are kept.
        rules: how near is near.
    """
    twins = Twins(rows, rules)
    labels = ledger.classes(rows)
    counts = collections.Counter()
    for row in rows:
        found = {kind: twins.splits(row, kind) for kind in KINDS}
        found[ANY] = set().union(*found.values())
        for pair, (searched, other) in PAIRS.items():
            if row.split == searched:
                counts.update((pair, kind, row.label) for kind in found if other in found[kind])
    return {
        pair: {
            kind: {label: counts[pair, kind, label] for label in labels} for kind in (*KINDS, ANY)
        }
        for pair in PAIRS
    }
