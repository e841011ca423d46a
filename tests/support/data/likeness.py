"""Likenesses between the rows of a made-up ledger."""

import collections
import dataclasses

from faceemo.data.ledger.ledger import Likeness


def alike(rows, pairs):
    """Adds likenesses to both rows of each pair, and to every row with the same pixels.

    Args:
        rows: Rows without likenesses.
        pairs: Tuples (path, path, distance, similarity, mirrored).
    """
    by_path = {row.path: row for row in rows}
    found = collections.defaultdict(list)
    for one, other, distance, similarity, mirrored in pairs:
        for here, there in ((one, other), (other, one)):
            likeness = Likeness(
                pixels_sha256=by_path[there].pixels_sha256,
                path=there,
                distance=distance,
                similarity=similarity,
                mirrored=mirrored,
            )
            found[by_path[here].pixels_sha256].append(likeness)
    return [
        dataclasses.replace(row, similar=tuple(found.get(row.pixels_sha256, ()))) for row in rows
    ]
