"""Checks the order, padding and resumption of batches."""

import itertools
import time

import numpy as np
import pytest

from faceemo.data import pipeline


def make_split(n: int, size: int = 6) -> pipeline.Split:
    """Makes a split whose image i holds i in base 256 in its first two pixels."""
    images = np.zeros((n, size, size), np.uint8)
    images[:, 0, 0] = np.arange(n) % 256
    images[:, 0, 1] = np.arange(n) // 256
    labels = (np.arange(n) * 7 // 3 % 4).astype(np.int32)
    return pipeline.Split(images, labels, tuple(f"{i}.jpg" for i in range(n)))


def decode_index(images: np.ndarray) -> np.ndarray:
    """Reads the images' positions in their split back from their pixels."""
    return images[:, 0, 0].astype(int) + 256 * images[:, 0, 1].astype(int)


@pytest.mark.parametrize("seed", [None, 0, 1991921, 2**31 - 1])
@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (1, 8), (7, 8), (8, 8), (9, 8), (1000, 32)])
def test_every_image_comes_once_with_its_own_label(n, batch_size, seed):
    split = make_split(n)
    batches = list(pipeline.epoch_batches(split, batch_size, seed=seed, epoch=3))
    assert len(batches) == pipeline.steps_per_epoch(n, batch_size)
    assert all(batch.targets is None for batch in batches)
    parts = zip(*(batch[:4] for batch in batches), strict=True)
    images, labels, mask, index = (np.concatenate(part) for part in parts)
    assert all(len(batch.images) == batch_size for batch in batches)
    assert set(mask.tolist()) <= {0.0, 1.0}
    real = mask == 1
    assert sorted(index[real]) == list(range(n))
    np.testing.assert_array_equal(decode_index(images[real]), index[real])
    np.testing.assert_array_equal(labels[real], split.labels[index[real]])
    # padding is at the end of the last batch: zeros with the index -1
    assert real[:n].all()
    assert not images[n:].any()
    assert not labels[n:].any()
    assert (index[n:] == -1).all()


def test_dtypes_and_shapes_are_as_documented():
    for batch in pipeline.epoch_batches(make_split(5), 4, seed=1):
        assert batch.images.dtype == np.uint8
        assert batch.images.shape == (4, 6, 6)
        for field, dtype in (("labels", np.int32), ("mask", np.float32), ("index", np.int32)):
            assert getattr(batch, field).dtype == dtype
            assert getattr(batch, field).shape == (4,)


def indices(split, **kwargs) -> list[list[int]]:
    return [batch.index.tolist() for batch in pipeline.epoch_batches(split, 16, **kwargs)]


def test_order_is_a_function_of_seed_and_epoch():
    split = make_split(200)
    np.random.seed(0)  # noqa: NPY002 - global state must not matter
    first = indices(split, seed=3, epoch=2)
    np.random.seed(1)  # noqa: NPY002
    assert indices(split, seed=3, epoch=2) == first
    orders = [
        str(indices(split, seed=seed, epoch=epoch)) for seed in range(6) for epoch in range(6)
    ]
    assert len(set(orders)) == len(orders)


def test_without_a_seed_batches_keep_the_order_of_the_split():
    assert list(itertools.chain(*indices(make_split(48)))) == list(range(48))


def test_order_is_uniform():
    # each of 4 images should come first in about a quarter of the epochs: 5 sigma
    firsts = np.bincount([pipeline.epoch_order(4, 0, epoch)[0] for epoch in range(4000)])
    assert np.abs(firsts - 1000).max() < 5 * np.sqrt(4000 * 0.25 * 0.75)


@pytest.mark.parametrize("steps", [0, 1, 5, 7, 100])
@pytest.mark.parametrize("start", [0, 1, 4, 7, 9])
def test_a_resumed_epoch_equals_the_tail_of_the_whole_one(steps, start):
    split = make_split(100)
    kwargs = {"seed": 5, "epoch": 1, "steps": steps}
    whole = list(pipeline.epoch_batches(split, 16, **kwargs))
    assert len(whole) == pipeline.steps_per_epoch(100, 16, steps) == min(7, steps or 7)
    tail = list(pipeline.epoch_batches(split, 16, start=start, **kwargs))
    assert len(tail) == max(0, len(whole) - start)
    for expected, got in zip(whole[start:], tail, strict=True):
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_array_equal(a, b)


def test_batches_do_not_alias_the_split():
    split = make_split(8)
    next(pipeline.epoch_batches(split, 8)).images[:] = 77
    assert decode_index(split.images).tolist() == list(range(8))


def test_class_counts_include_absent_classes():
    split = pipeline.Split(
        np.zeros((3, 2, 2), np.uint8), np.array([2, 0, 2], np.int32), ("a", "b", "c")
    )
    assert split.class_counts().tolist() == [1, 0, 2, 0]
    assert split.class_counts().dtype == np.int64
    assert len(split) == 3


def test_an_empty_split_has_no_batches():
    assert list(pipeline.epoch_batches(make_split(0), 4, seed=0)) == []


@pytest.mark.slow
def test_batching_is_faster_than_any_training():
    split = make_split(20_000, size=48)
    begin = time.perf_counter()
    for _ in pipeline.epoch_batches(split, 32, seed=0):
        pass
    assert 20_000 / (time.perf_counter() - begin) > 20_000
