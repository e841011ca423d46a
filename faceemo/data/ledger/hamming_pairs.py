"""All pairs of 64-bit hashes that differ in few bits, without comparing every pair.

Cut into d + 2 pieces, two hashes that differ in at most d bits agree in at least two whole pieces
(the pigeonhole principle). So the hashes are sorted by each pair of pieces in turn, and only those
that agree in both, which are then neighbours, are compared. Memory is a few numbers per hash and
per pair found, however many are compared.
"""

import itertools
from collections.abc import Iterator

import numpy as np

_BITS = 64


def find_pairs(hashes: np.ndarray, max_distance: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the pairs of hashes that differ in at most `max_distance` bits.

    Args:
        hashes: uint64 [N]. Equal hashes are a pair like any other: where many may be equal, pass
            each value once.
        max_distance: Number of bits, 0 to 16.

    Returns:
        Indices int64 [P] of the first and of the second hash of each pair, first < second, sorted;
        and the number of bits that differ, uint8 [P].
    """
    if not 0 <= max_distance <= 16:
        raise ValueError(f"expected a distance from 0 to 16, found {max_distance}")
    found = [np.empty((2, 0), np.int64), *iterate_pairs(hashes, max_distance)]
    codes = np.sort(np.concatenate([first * len(hashes) + second for first, second in found]))
    first, second = np.divmod(codes, max(len(hashes), 1))
    return first, second, np.bitwise_count(hashes[first] ^ hashes[second])


def iterate_pairs(hashes: np.ndarray, max_distance: int) -> Iterator[np.ndarray]:
    """Yields each pair of `find_pairs` once, in no particular order, some pairs at a time.

    Args:
        hashes: uint64 [N].
        max_distance: Number of bits, 0 to 16.

    Yields:
        Indices int64 [2, P], P up to N, of the first and the second hash of each pair.
    """
    masks = list(_piece_masks(max_distance))
    for number, mask in enumerate(masks):
        order = np.argsort(hashes & mask, kind="stable")
        ordered = hashes[order]
        for left, right in _pairs_within_buckets(ordered, ordered & mask, max_distance):
            # A pair agrees in several masks. It is new in the first of them.
            differing = ordered[left] ^ ordered[right]
            known = np.zeros(len(left), bool)
            for earlier in masks[:number]:
                known |= (differing & earlier) == 0
            if not known.all():
                pair = np.stack([order[left[~known]], order[right[~known]]])
                yield np.sort(pair, axis=0)


def _piece_masks(max_distance: int) -> Iterator[np.uint64]:
    """Yields the bit mask of every two of `max_distance` + 2 pieces."""
    edges = np.linspace(0, _BITS, max_distance + 3).round().astype(int)
    pieces = [(1 << end) - (1 << start) for start, end in itertools.pairwise(edges.tolist())]
    for one, other in itertools.combinations(pieces, 2):
        yield np.uint64(one | other)


def _pairs_within_buckets(
    ordered: np.ndarray, keys: np.ndarray, max_distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the positions of pairs with equal keys that differ in at most `max_distance` bits.

    Compares each position with the next, then with the one after it, and so on, as long as some
    bucket is that large.

    Args:
        ordered: Hashes uint64 [N], sorted by `keys`.
        keys: uint64 [N], sorted; equal keys form a bucket.
        max_distance: Number of bits.
    """
    positions = np.flatnonzero(keys[1:] == keys[:-1])
    step = 1
    while positions.size:
        near = np.bitwise_count(ordered[positions] ^ ordered[positions + step]) <= max_distance
        yield positions[near], positions[near] + step
        step += 1
        positions = positions[positions + step < len(keys)]
        positions = positions[keys[positions] == keys[positions + step]]
