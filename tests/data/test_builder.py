"""Checks that the TensorFlow dataset holds every prepared image unchanged and is reused."""

import os
import re
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from faceemo.config import CLASSES, SPLITS, ImageFormat
from faceemo.data import builder, shards
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.measure.decode import read_grey
from faceemo.data.prepare import folders
from faceemo.errors import UserError
from faceemo.train.checkpoint.provenance import digest_split
from tests.support.data.tinted import draw_tinted

RNG = np.random.default_rng(0)


def grey_image(height: int = 48, width: int = 48) -> Image.Image:
    """Makes an image smooth enough to be resized and rough enough to reveal a wrong pixel."""
    low = Image.fromarray(RNG.integers(0, 256, (6, 6), np.uint8))
    smooth = np.asarray(low.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(np.clip(smooth + RNG.integers(-8, 9, smooth.shape), 0, 255).astype("u1"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared folder with three to five JPEGs of numeric names in every split and class."""
    for split in SPLITS:
        for number, label in enumerate(CLASSES):
            folder = tmp_path / folders.UNIQUE / split / label
            folder.mkdir(parents=True)
            for row in range(3 + number % 3):
                grey_image().save(folder / f"{7**row}.jpg", quality=95)
    return tmp_path


def test_splits_hold_every_file_unchanged_in_order_of_path(root):
    splits = builder.load(root, ImageFormat(48))
    assert list(splits) == list(SPLITS)
    for name, split in splits.items():
        files = sorted(
            path.relative_to(root / folders.UNIQUE).as_posix()
            for path in (root / folders.UNIQUE / name).rglob("*.jpg")
        )
        assert list(split.paths) == files
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int32
        assert len(split) == len(files)
        for image, label, path in zip(split.images, split.labels, split.paths, strict=True):
            np.testing.assert_array_equal(image, Image.open(root / folders.UNIQUE / path))
            assert CLASSES[label] == path.split("/")[1]


def test_another_size_is_resized_with_pillows_antialiasing(root):
    split = builder.load(root, ImageFormat(30))["train"]
    for image, path in zip(split.images, split.paths, strict=True):
        with Image.open(root / folders.UNIQUE / path) as original:
            expected = np.asarray(original.resize((30, 30), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("shape", [(48, 48), (100, 80), (33, 48), (480, 640)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK", "1", "I;16", "YCbCr"])
def test_any_mode_and_shape_is_read_as_the_same_image(tmp_path, mode, shape):
    original = grey_image(*shape)
    path = tmp_path / "image"
    if mode == "I;16":
        wide = np.asarray(original).astype(np.uint16) * 257
        Image.fromarray(wide).save(path, "PNG")
    else:
        stored = original.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr") else None
        stored = stored or original.convert(mode)
        if "A" in mode:  # transparency must not turn the image black or white
            stored.putalpha(Image.fromarray(RNG.integers(0, 256, shape, np.uint8)))
        stored.save(path, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    got = read_grey(path, 48)
    assert got.dtype == np.uint8
    assert got.shape == (48, 48)
    oracle = original.convert("1").convert("L") if mode == "1" else original
    expected = np.asarray(oracle.resize((48, 48), Image.Resampling.BILINEAR)).astype(int)
    tolerance = 3 if mode in ("CMYK", "YCbCr") else 0  # these round; everything else is exact
    assert np.abs(got - expected).max() <= tolerance


def test_sixteen_bit_images_are_scaled_and_not_clipped(tmp_path):
    values = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48) * 28
    Image.fromarray(values).save(tmp_path / "x.png")
    expected = np.round(values / 65535 * 255)
    np.testing.assert_array_equal(read_grey(tmp_path / "x.png", 48), expected)


def test_exif_rotation_is_applied(tmp_path):
    original = grey_image()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    original.save(tmp_path / "x.png", exif=exif)
    expected = np.rot90(np.asarray(original), -1)
    np.testing.assert_array_equal(read_grey(tmp_path / "x.png", 48), expected)


def test_a_dataset_is_reused_until_a_file_changes(root, monkeypatch):
    first = builder.load(root, ImageFormat(48))
    with monkeypatch.context() as context:
        context.setattr(builder, "read_image", lambda *_: pytest.fail("the dataset was rebuilt"))
        again = builder.load(root, ImageFormat(48))
    for split in SPLITS:
        np.testing.assert_array_equal(first[split].images, again[split].images)

    source = root / folders.UNIQUE / "train" / "sad"
    old = source / "7.jpg"
    stat = old.stat()
    content = bytearray(old.read_bytes())
    content[-40] ^= 1  # same length, same times
    old.write_bytes(content)

    os.utime(old, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = builder.load(root, ImageFormat(48))["train"]
    place = changed.paths.index("train/sad/7.jpg")
    np.testing.assert_array_equal(changed.images[place], Image.open(old))
    assert not np.array_equal(changed.images[place], first["train"].images[place])

    (source / "1.jpg").rename(source / "2.jpg")
    assert "train/sad/2.jpg" in builder.load(root, ImageFormat(48))["train"].paths
    assert len(list((root / builder.FOLDER).iterdir())) == 1  # stale datasets are deleted


def test_datasets_of_two_sizes_are_both_kept(root, monkeypatch):
    builder.load(root, ImageFormat(48))
    builder.load(root, ImageFormat(20))
    monkeypatch.setattr(builder, "read_image", lambda *_: pytest.fail("the dataset was rebuilt"))
    assert builder.load(root, ImageFormat(48))["test"].images.shape[1:] == (48, 48)
    assert builder.load(root, ImageFormat(20))["test"].images.shape[1:] == (20, 20)


def test_a_dataset_in_colour_is_kept_beside_the_grey_one_with_every_pixel(root):
    files = sorted((root / folders.UNIQUE).rglob("*.jpg"))
    for number, file in enumerate(files):
        Image.fromarray(draw_tinted("warm" if number % 2 else "cold", number, 48)).save(file)
    grey, coloured = builder.load(root, ImageFormat(48)), builder.load(root, ImageFormat(48, "rgb"))
    assert len(list((root / builder.FOLDER).iterdir())) == 2
    for name, split in coloured.items():
        assert split.images.shape == (len(split), 48, 48, 3)
        for image, path in zip(split.images, split.paths, strict=True):
            np.testing.assert_array_equal(image, Image.open(root / folders.UNIQUE / path))
        assert grey[name].images.shape == (len(split), 48, 48)
        np.testing.assert_array_equal(grey[name].labels, split.labels)


@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_images_that_exceed_the_memory_stay_on_disk(root, channels):
    for file in (root / folders.UNIQUE / "test").rglob("*.jpg"):
        file.unlink()  # a split without images
    form = ImageFormat(48, channels)
    held = builder.load(root, form)
    size = sum(split.images.nbytes for split in held.values())
    stored = builder.load(root, form, memory=size - 1)
    for name, split in held.items():
        other = stored[name]
        assert isinstance(split.images, np.ndarray)
        assert isinstance(other.images, StoredImages)
        np.testing.assert_array_equal(other.images[:], split.images)
        np.testing.assert_array_equal(other.labels, split.labels)
        assert (other.paths, other.classes) == (split.paths, split.classes)
        assert digest_split(other) == digest_split(split)
    (folder,) = (root / builder.FOLDER).iterdir()
    assert {path.name for path in folder.glob("*.json")} == {f"{name}.json" for name in SPLITS}
    again = builder.load(root, form, memory=size)
    assert all(isinstance(split.images, np.ndarray) for split in again.values())


def test_a_damaged_dataset_is_named_and_built_again_as_the_message_says(root):
    builder.load(root, ImageFormat(48))
    (path,) = (root / builder.FOLDER).rglob("*train*array_record*")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(UserError) as caught:
        builder.load(root, ImageFormat(48))
    assert str(path) in str(caught.value)
    folder = re.search(r"remove the folder (\S+),", str(caught.value))[1]
    shutil.rmtree(folder)
    assert len(builder.load(root, ImageFormat(48))["train"]) > 0


def test_an_interrupted_build_is_not_taken_for_a_finished_one(root, monkeypatch):
    read, calls = builder.read_image, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return read(*args)

    with monkeypatch.context() as context:
        context.setattr(builder, "read_image", interrupted)
        with pytest.raises(KeyboardInterrupt):
            builder.load(root, ImageFormat(48))
    splits = builder.load(root, ImageFormat(48))
    assert sum(map(len, splits.values())) == len(list((root / folders.UNIQUE).rglob("*.jpg")))
    assert not list((root / builder.FOLDER).rglob("*incomplete*"))


def test_a_build_goes_on_where_a_killed_one_stopped(root, monkeypatch):
    monkeypatch.setattr(shards, "RECORDS", 4)
    expected = builder.load(root, ImageFormat(48))
    shutil.rmtree(root / builder.FOLDER)
    read, paths = builder.read_image, []

    def interrupted(path, form):
        paths.append(path)
        if len(paths) == 11:
            raise KeyboardInterrupt
        return read(path, form)

    monkeypatch.setattr(shards, "_AHEAD", 1)  # so that the interruption is within the third file
    monkeypatch.setattr(builder, "read_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        builder.load(root, ImageFormat(48))
    splits = builder.load(root, ImageFormat(48))
    assert not set(paths[:8]) & set(paths[11:])  # the first two files are not written again
    for name, split in splits.items():
        np.testing.assert_array_equal(split.images, expected[name].images)
        np.testing.assert_array_equal(split.labels, expected[name].labels)
        assert split.paths == expected[name].paths
    assert not list((root / builder.FOLDER).rglob(builder.PARTS))


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"text"])
def test_the_error_names_a_file_that_is_not_an_image(root, damage):
    bad = root / folders.UNIQUE / "validation" / "happy" / "7.jpg"
    bad.write_bytes(damage(bad.read_bytes()))
    with pytest.raises(UserError, match=r"validation/happy/7\.jpg"):
        builder.load(root, ImageFormat(48))
    grey_image().save(bad)
    assert "validation/happy/7.jpg" in builder.load(root, ImageFormat(48))["validation"].paths


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="faceemo prepare"):
        builder.load(tmp_path, ImageFormat(48))


def test_tfds_itself_reads_the_dataset(root):
    split = builder.load(root, ImageFormat(48))["test"]
    (folder,) = (root / builder.FOLDER).glob("*/face_emotions/*")
    dataset = tfds.builder_from_directory(str(folder))
    assert dataset.info.features["label"].names == list(CLASSES)
    assert [f.value for f in dataset.info.available_file_formats()] == ["array_record"]
    examples = list(dataset.as_data_source(split="test"))
    by_path = {example["path"].decode(): example for example in examples}
    assert sorted(by_path) == sorted(split.paths)
    for image, label, path in zip(split.images, split.labels, split.paths, strict=True):
        np.testing.assert_array_equal(by_path[path]["image"][..., 0], image)
        assert by_path[path]["label"] == label


def test_building_uses_no_network_and_writes_nowhere_else(root, tmp_path, monkeypatch):
    elsewhere = tmp_path / "home"
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(elsewhere))
    before = {path for path in root.rglob("*") if root / builder.FOLDER not in path.parents}

    def refuse(*args, **kwargs):
        raise AssertionError("a network connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    builder.load(root, ImageFormat(48))
    after = {path for path in root.rglob("*") if root / builder.FOLDER not in path.parents}
    assert {path.name for path in after - before} <= {builder.FOLDER, ".lock"}
