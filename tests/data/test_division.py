"""Parts of the training images: even, complete, mixed in class, the same for any processes."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faceemo.data import pipeline
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.division import Division, list_part, mix_classes
from tests.support.data.on_disk import store
from tests.support.train.tiny import make_split


def labels_of(counts):
    """Labels in order of their class, as images are stored."""
    return np.repeat(np.arange(len(counts)), counts).astype(np.int32)


COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(sum)


@settings(max_examples=60)
@given(counts=COUNTS, parts=st.integers(1, 9))
@example(counts=[1], parts=9)
@example(counts=[30, 1, 1], parts=2)
def test_parts_are_even_complete_and_have_their_share_of_every_class(counts, parts):
    labels = labels_of(counts)
    each = [list_part(labels, part, parts) for part in range(parts)]
    assert sorted(np.concatenate(each).tolist()) == list(range(len(labels)))
    sizes = [len(part) for part in each]
    assert sizes == [
        sum(q * len(labels) // parts <= i < (q + 1) * len(labels) // parts for i in range(200))
        for q in range(parts)
    ]
    for rows in each:
        assert rows.tolist() == sorted(rows.tolist())
        for label, count in enumerate(counts):
            own = rows[labels[rows] == label]
            assert abs(len(own) - count / parts) <= len(counts) + 1
            # neighbours in the split, so that few files hold them
            assert not len(own) or np.ptp(own) == len(own) - 1


def test_a_part_of_few_is_several_parts_of_many():
    """A host with two processes holds what these two read."""
    labels = labels_of([17, 5, 30])
    for part in range(3):
        pair = [list_part(labels, 2 * part + number, 6) for number in range(2)]
        assert sorted(np.concatenate(pair).tolist()) == list_part(labels, part, 3).tolist()


@settings(max_examples=80)
@given(
    counts=COUNTS,
    parts=st.integers(1, 6),
    each=st.integers(1, 7),
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(0, 5),
)
@example(counts=[1], parts=6, each=7, seed=0, epoch=0)
@example(counts=[6, 7], parts=6, each=1, seed=0, epoch=0)
def test_every_image_comes_once_an_epoch_from_its_own_part(counts, parts, each, seed, epoch):
    labels, size = labels_of(counts), parts * each
    division = Division(mix_classes(labels), parts)
    rows = pipeline.Rows(len(labels), size, seed, epoch, epochs=2, division=division)
    steps = -(-len(labels) // size)
    assert len(rows) == 2 * steps
    for first in (0, steps):
        batches = [rows[first + step] for step in range(steps)]
        assert all(len(batch) == size and batch.dtype == np.int32 for batch in batches)
        assert all((batch >= 0).all() for batch in batches[:-1])
        for part in range(parts):
            own = np.concatenate([batch[part * each : (part + 1) * each] for batch in batches])
            held = list_part(labels, part, parts).tolist()
            assert sorted(own[: len(held)].tolist()) == held
            assert (own[len(held) :] == -1).all()


@pytest.mark.parametrize("parts", [4, 8])
def test_processes_read_their_slices_of_the_batches_of_one(parts):
    """Four of them, and from the images of their own host alone."""
    labels = labels_of([19, 4, 14])
    division = Division(mix_classes(labels), parts)
    whole = pipeline.Rows(37, 16, 7, 3, epochs=2, division=division)
    for process in range(4):
        slices = pipeline.Part(16, 4 * process, 4 * process + 4)
        own = pipeline.Rows(37, 16, 7, 3, epochs=2, part=slices, division=division)
        assert len(own) == len(whole) == 6
        for batch, every in zip(own, whole, strict=True):
            np.testing.assert_array_equal(batch, every[4 * process : 4 * process + 4])
            assert {*batch.tolist()} <= {*list_part(labels, process, 4).tolist(), -1}


def test_a_part_has_its_own_order_in_each_epoch_and_seed():
    """In places of the part, so that equal orders of two parts would be seen."""
    orders = {
        str(pipeline.epoch_order(40, seed, epoch, 4)[10 * part : 10 * part + 10] - 10 * part)
        for seed in range(3)
        for epoch in range(3)
        for part in range(4)
    }
    assert len(orders) == 3 * 3 * 4


def test_one_part_has_the_order_of_the_versions_before_there_were_parts():
    """Golden numbers of commit 4deaf9e."""
    rows = pipeline.Rows(11, 4, 3, 2)
    assert [row.tolist() for row in rows] == [[2, 10, 8, 9], [3, 6, 4, 1], [7, 5, 0, -1]]
    rows = pipeline.Rows(11, 4, 3, 2, part=pipeline.Part(6, 2, 4))
    assert [row.tolist() for row in rows] == [[8, 9], [4, 1], [0, -1]]


def test_the_files_of_images_are_found_by_their_positions(tmp_path):
    stored = store(make_split(10, 0), tmp_path, shards=4).images  # of 3, 3, 2 and 2 images
    assert isinstance(stored, StoredImages)
    paths = [path for path, _ in stored.files]
    for row, number in enumerate([0, 0, 0, 1, 1, 1, 2, 2, 3, 3]):
        assert stored.find_files(np.array([row])) == (paths[number],)
    assert stored.find_files(np.array([9, 2, 8])) == (paths[0], paths[3])
    assert stored.find_files(np.array([], int)) == ()
