"""Pairs of near hashes against a comparison of every pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceemo.data.ledger import hamming_pairs

HASHES = st.integers(0, 2**64 - 1)


def every_pair(hashes, distance):
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None])
    pairs = np.argwhere(np.triu(bits <= distance, 1))
    return pairs[:, 0], pairs[:, 1], bits[pairs[:, 0], pairs[:, 1]]


def check(hashes, distance):
    for found, expected in zip(
        hamming_pairs.find_pairs(hashes, distance), every_pair(hashes, distance), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(HASHES, st.lists(st.integers(0, 63), max_size=7)), max_size=40),
    st.lists(st.integers(0, 39), max_size=10),
    st.integers(0, 6),
)
def test_finds_exactly_the_near_pairs(values, repeated, distance):
    """Random hashes, versions of them with some bits flipped, and equal ones."""
    hashes = []
    for value, flips in values:
        hashes += [value, value ^ sum(1 << bit for bit in set(flips))]
    hashes += [hashes[index] for index in repeated if index < len(hashes)]
    check(np.array(hashes, np.uint64), distance)


@pytest.mark.parametrize("distance", range(9))
def test_near_pairs_among_many(distance):
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**64, 1500, dtype=np.uint64)
    for bits in range(1, 10):  # some pairs at each distance
        flips = np.array([rng.permutation(64)[:bits] for _ in range(50)])
        masks = np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64), axis=1)
        hashes[bits * 100 : bits * 100 + 50] = hashes[bits * 100 + 50 : bits * 100 + 100] ^ masks
    check(hashes, distance)


def test_hashes_that_share_most_bits():
    """They differ in a few bits only, so that every bucket is full."""
    check(np.arange(600, dtype=np.uint64) << np.uint64(20), 3)


def test_every_pair_comes_once_and_few_at_a_time():
    """Equal hashes agree in all masks, and all of them are in one bucket."""
    hashes = np.repeat(np.array([3, 7, 2**40], np.uint64), 40)
    chunks = list(hamming_pairs.iterate_pairs(hashes, 2))
    assert max(chunk.shape[1] for chunk in chunks) <= len(hashes)
    found = [tuple(pair) for chunk in chunks for pair in chunk.T.tolist()]
    expected = zip(*(one.tolist() for one in every_pair(hashes, 2)[:2]), strict=True)
    assert sorted(found) == list(expected)


@pytest.mark.parametrize("distance", [-1, 17])
def test_distances_out_of_range_are_refused(distance):
    with pytest.raises(ValueError, match="0 to 16"):
        hamming_pairs.find_pairs(np.zeros(2, np.uint64), distance)


@pytest.mark.slow
def test_memory_stays_flat():
    """Searches a quarter of a million hashes; NumPy reports its memory to tracemalloc."""
    import tracemalloc

    hashes = np.random.default_rng(0).integers(0, 2**64, 250_000, dtype=np.uint64)
    tracemalloc.start()
    hamming_pairs.find_pairs(hashes, 4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * len(hashes)
