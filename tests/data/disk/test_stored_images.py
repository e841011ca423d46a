"""Checks images on disk against the arrays that they stand for."""

import hashlib
import pickle

import numpy as np
import pytest

from faceemo.data.disk import whole_split
from faceemo.data.disk.stored_images import StoredImages, take
from faceemo.data.measure.colour import count_colourless
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.train.checkpoint.provenance import digest_split
from tests.support.data.on_disk import store


def make_split(n, *, colour=False, size=9):
    shape = (n, size, size, 3) if colour else (n, size, size)
    images = np.random.default_rng(n).integers(0, 256, shape, np.uint8)
    if colour:
        images[::3] = images[::3, ..., :1]  # without colour
    labels = (np.arange(n) % 4).astype(np.int32)
    return Split(images, labels, tuple(f"train/sad/{i}.jpg" for i in range(n)))


@pytest.fixture(params=[False, True], ids=["grey", "colour"])
def pair(request, tmp_path):
    split = make_split(13, colour=request.param)
    return split, store(split, tmp_path / "tfds" / "a" / "face_emotions")


def test_any_index_gives_what_the_array_gives(pair):
    array, stored = (split.images for split in pair)
    assert (stored.shape, stored.ndim, stored.nbytes) == (array.shape, array.ndim, array.nbytes)
    rows = np.array([[12, 0, 3], [3, 7, -1]])
    for index in (0, 12, -1, np.int32(5), slice(0, 1), slice(2, None, 4), rows, rows[:0]):
        np.testing.assert_array_equal(stored[index], array[index])
    np.testing.assert_array_equal(np.stack(list(stored)), array)
    for index in (13, -14):
        with pytest.raises(IndexError):
            stored[index]


def test_rows_of_padding_become_zeros(pair):
    array, stored = (split.images for split in pair)
    rows = np.array([[4, -1], [-1, 0]])
    for images in (array, stored):
        taken = take(images, rows)
        np.testing.assert_array_equal(taken[rows >= 0], array[[4, 0]])
        assert not taken[rows < 0].any()


def test_copies_in_other_processes_read_the_same(pair):
    array, stored = (split.images for split in pair)
    assert stored[3].any()  # has opened the files
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stored))[5], array[5])


def test_facts_are_those_of_the_array(pair):
    split, stored = pair
    assert digest_split(stored) == digest_split(split)
    assert stored.images.digest == hashlib.sha256(split.images.tobytes()).hexdigest()
    colour = split.images.ndim == 4
    assert stored.images.colourless == (count_colourless(split.images) if colour else 0)


def test_facts_are_computed_once(pair, tmp_path, monkeypatch):
    split, stored = pair
    record = tmp_path / "tfds" / "a" / "face_emotions" / "facts.json"
    plain = StoredImages(stored.images.files, stored.images.shape)
    monkeypatch.setattr(StoredImages, "read", lambda *_: pytest.fail("read again"))
    again = whole_split.survey(plain, split.labels, split.paths, record)
    assert again == stored.images or again.digest == stored.images.digest
    with pytest.raises(pytest.fail.Exception):
        whole_split.survey(plain, split.labels[::-1].copy(), split.paths, record)


def test_other_images_than_the_folder_has_are_a_bug(pair):
    split, stored = pair
    for labels, paths in ((split.labels[::-1], split.paths), (split.labels, split.paths[::-1])):
        with pytest.raises(AssertionError, match=r"example \d is"):
            whole_split.load(stored.images, labels, paths)


@pytest.mark.parametrize("damage", ["removed", "cut", "changed", "other"])
def test_a_damaged_file_is_named(pair, damage, tmp_path):
    split, stored = pair
    folder = tmp_path / "tfds" / "a" / "face_emotions"
    path = folder / "images-1.array_record"
    content = bytearray(path.read_bytes())
    if damage == "removed":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "other":
        path.write_bytes(b"text" * len(content))
    else:
        for place in range(100, len(content), 500):
            content[place] ^= 0xFF
        path.write_bytes(content)
    fresh = StoredImages(stored.images.files, stored.images.shape)
    np.testing.assert_array_equal(fresh[0], split.images[0])  # in the other file
    with pytest.raises(UserError) as caught:
        fresh[7:]
    text = str(caught.value)
    assert str(path) in text
    assert f"of the 6 images in {path}" in text
    assert f"remove the folder {tmp_path / 'tfds' / 'a'}," in text
    assert "\n" not in text
