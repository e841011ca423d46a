"""All pairs of 64-bit hashes that differ in few bits, without comparing every pair.

Cut into d + 2 pieces, two hashes that differ in at most d bits agree in at least two whole pieces
(the pigeonhole principle). So the hashes are sorted by each pair of pieces in turn, and only those
that agree in both, which then stand side by side, are compared. Memory is a few numbers per hash
and per pair found, however many are compared.
"""

import itertools
from collections.abc import Iterator

import numpy as np

_BITS = 64


def pairs_within(hashes: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of hashes that differ in at most `distance` bits.

    Args:
        hashes: uint64 [N]. Equal ones are a pair like any other: where many may be equal, pass
            each value once.
        distance: bits, 0 to 16.

    Returns:
        int64 [P] first and second, first < second, sorted; and uint8 [P], the bits that differ.
    """
    if not 0 <= distance <= 16:
        raise ValueError(f"expected a distance from 0 to 16, found {distance}")
    found = [np.empty((2, 0), np.int64)]
    for mask in _masks(distance):
        order = np.argsort(hashes & mask, kind="stable")
        ordered = hashes[order]
        for left, right in _within_buckets(ordered, ordered & mask, distance):
            found.append(np.sort(np.stack([order[left], order[right]]), axis=0))
    # a pair is found once for every two pieces in which it agrees
    codes = np.unique(np.concatenate([first * len(hashes) + second for first, second in found]))
    first, second = np.divmod(codes, max(len(hashes), 1))
    return first, second, np.bitwise_count(hashes[first] ^ hashes[second])


def _masks(distance: int) -> Iterator[np.uint64]:
    """The bits of every two of `distance` + 2 pieces."""
    edges = np.linspace(0, _BITS, distance + 3).round().astype(int)
    pieces = [(1 << end) - (1 << start) for start, end in itertools.pairwise(edges.tolist())]
    for one, other in itertools.combinations(pieces, 2):
        yield np.uint64(one | other)


def _within_buckets(
    ordered: np.ndarray, keys: np.ndarray, distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places of the pairs with equal keys that differ in at most `distance` bits.

    Compares each place with the next, then with the one after it, and so on, as long as some
    bucket is that large.
    """
    places = np.flatnonzero(keys[1:] == keys[:-1])
    step = 1
    while places.size:
        near = np.bitwise_count(ordered[places] ^ ordered[places + step]) <= distance
        yield places[near], places[near] + step
        step += 1
        places = places[places + step < len(keys)]
        places = places[keys[places] == keys[places + step]]
