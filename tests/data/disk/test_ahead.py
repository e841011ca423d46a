"""Images on disk are read ahead in the order of the batches, in threads and in workers."""

import multiprocessing

import numpy as np
import pytest

from faceemo.data import pipeline
from faceemo.data.augment.mixing import training_batches
from faceemo.data.disk import ahead
from faceemo.errors import UserError
from tests.support.data.on_disk import store
from tests.support.train.tiny import add_votes, make_split, tiny_config


def assert_same(one, two):
    """Asserts that two batches are equal to the bit; compares partners too."""
    for left, right in zip(one, two, strict=True):
        if isinstance(left, pipeline.Batch):
            assert_same(left, right)
        elif left is not None:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("start", [0, 2])
@pytest.mark.parametrize(
    "changes", [{}, {"mixup": 0.3, "targets": "sampled"}, {"targets": "distribution"}], ids=str
)
def test_batches_from_disk_are_those_from_memory(tmp_path, changes, start):
    split = add_votes(make_split(23, 0))
    stored = store(split, tmp_path)
    config = tiny_config(batch_size=5, **changes)
    one, two = (
        list(training_batches(each, config, 1, start, epochs=2)) for each in (split, stored)
    )
    assert len(one) == 2 * 5 - start
    for left, right in zip(one, two, strict=True):
        assert_same(left, right)
        assert isinstance(right.images, np.ndarray)


def test_several_epochs_are_one_after_another():
    split = make_split(23, 0)
    config = tiny_config(batch_size=5, mixup=0.3, steps_per_epoch=3)
    whole = list(training_batches(split, config, 0, epochs=3))
    single = [batch for epoch in range(3) for batch in training_batches(split, config, epoch)]
    assert len(whole) == 9
    for left, right in zip(whole, single, strict=True):
        assert_same(left, right)


def test_parts_make_up_the_whole_batch(tmp_path):
    """Three processes with a part each: the last one has padding alone in the last batch."""
    split = store(make_split(8, 0), tmp_path)
    whole = list(pipeline.epoch_batches(split, 5, seed=1))
    parts = [pipeline.Part(6, 2 * process, 2 * process + 2) for process in range(3)]
    read = [list(pipeline.epoch_batches(split, 5, seed=1, part=part)) for part in parts]
    for number, batch in enumerate(whole):
        joined = [
            np.concatenate(leaves) for leaves in zip(*(r[number][:4] for r in read), strict=True)
        ]
        for field, leaf in zip(batch[:4], joined, strict=True):
            np.testing.assert_array_equal(leaf[:5], field)
        assert joined[3][5] == -1
        assert not joined[0][5].any()


def test_workers_read_the_same_and_end(tmp_path):
    stored = store(make_split(23, 0), tmp_path)
    rows = pipeline.Rows(23, 4, seed=3, epochs=2)
    reading = ahead.read(stored.images, rows, workers=2)
    first = next(reading)
    assert len(multiprocessing.active_children()) == 2
    batches = [first, *reading]
    for images, row in zip(batches, rows, strict=True):
        np.testing.assert_array_equal(images, stored.images.take(row))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_file_is_named_wherever_it_is_read(tmp_path, workers):
    stored = store(make_split(23, 0), tmp_path)
    path = tmp_path / "images-1.array_record"
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(UserError, match=r"images-1\.array_record; found a file that is damaged"):
        list(ahead.read(stored.images, pipeline.Rows(23, 4, seed=3), workers))
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_told(tmp_path):
    stored = store(make_split(23, 0), tmp_path)
    reading = ahead.read(stored.images, pipeline.Rows(23, 1, epochs=100), workers=1)
    next(reading)
    (worker,) = multiprocessing.active_children()
    worker.kill()
    with pytest.raises(UserError, match="data_workers"):
        list(reading)
