"""A run says how many images it uses, what it keeps of them, and how coarse their accuracy is."""

import dataclasses

import numpy as np
import pytest

from faceemo.config import ImageFormat, make_config
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.pipeline import Split
from faceemo.experiments import images_used
from tests.support.data.on_disk import store
from tests.support.data.rows import row


def split(n):
    return Split(np.zeros((n, 2, 2), np.uint8), np.zeros(n, np.int32), ("a",) * n)


def describe(rows, validation=48, arg="0,image_size=128"):
    splits = {"train": split(190), "validation": split(validation), "test": split(0)}
    return images_used.describe(make_config("mobilenet", arg), splits, rows)


def test_what_is_left_out_is_counted_by_reason():
    rows = [row("train/sad/1.jpg"), *(row(f"train/sad/{n}.jpg", fate="no_face") for n in (2, 3))]
    line = describe(rows)[0]
    assert "190 for train, 48 for validation, 0 for test; left out: 2 no face (policy=" in line
    assert "left out: none" in describe(rows[:1])[0]


@pytest.mark.parametrize(
    ("side", "mode", "arg", "parts"),
    [
        (400, "RGB", "0,image_size=128", ("48x48 grey", "side of the files is 400 pixels",
                                          "native_size=128 keeps",
                                          "1 of 1 files are stored in colour",
                                          "channels=auto keeps colour")),
        (96, "L", "0,image_size=128", ("native_size=96 keeps",)),
        (96, "L", "0,image_size=48", ("the network sees 48, so more need image_size",)),
        (48, "CMYK", "0,image_size=128", ("48x48 grey pixels: 1 of 1 files are stored in colour",)),
        (400, "L", "0,image_size=128,native_size=400", ()),
        (48, "L", "0,image_size=128", ()),
    ],
)  # fmt: skip
def test_what_is_not_kept_is_said_with_the_field_that_changes_it(side, mode, arg, parts):
    rows = [
        row("train/sad/1.jpg", width=side, height=side + 9, mode=mode),
        row("train/sad/2.jpg", width=9, height=9, mode="RGB", fate="no_face"),
    ]
    _, *lines = describe(rows, validation=5000, arg=arg)
    assert len(lines) == bool(parts)
    assert all(part in lines[0] for part in parts)


def test_images_without_colour_in_a_run_that_stores_colour_are_counted_by_their_pixels():
    coloured = np.zeros((30, 2, 2, 3), np.uint8)
    coloured[:10, 0, 1, 2] = 1
    splits = {"train": Split(coloured, np.zeros(30, np.int32), ("a",) * 30)}
    form = ImageFormat(2, "rgb")
    line = images_used.describe_other_channels(form, splits, [])
    assert "20 of 30 images have no colour" in line
    config = make_config("mobilenet", "0,image_size=32,native_size=32,channels=rgb")
    both = splits | {"validation": splits["train"]}
    _, told, *_ = images_used.describe(config, both, [])
    assert "stored as 32x32 RGB pixels: 40 of 60 images have no colour" in told
    assert "(channels=grey stores one channel)" in told
    coloured[:, 1, 1, 0] = 1
    assert images_used.describe_other_channels(form, splits, [row("train/sad/a", mode="L")]) == ""


def test_networks_that_learned_the_other_kind_of_images_are_named():
    old = make_config("mobilenet").to_dict()
    del old["channels"], old["native_size"]  # a run of before these fields
    colour = make_config("mobilenet", "0,channels=rgb").to_dict()
    recipe = {
        "config": colour,
        "weights": {"source": "builtin", "trained": {"config": old}},
        "teachers": [{"source": "a", "trained": {"config": colour}}],
    }
    (line,) = images_used.describe_origin(recipe)
    assert "builtin learned from grey images; this run shows it images in colour" in line
    assert images_used.describe_origin(recipe | {"weights": {"source": "imagenet"}}) == []
    grey = old | {"channels": "grey", "native_size": 48}
    (line,) = images_used.describe_origin(recipe | {"config": grey})
    assert "a learned from images in colour; this run shows it grey images" in line


def test_few_validation_images_are_told_how_coarse_their_accuracy_is():
    """The interval is SciPy's: 48 images, half of them right."""
    from scipy.stats import binomtest

    interval = binomtest(24, 48).proportion_ci(method="wilson")
    (line,) = describe([], validation=48)[1:]
    assert "one image is 2.1 points" in line
    assert f"up to {50 * (interval.high - interval.low):.0f} points" in line
    assert "patience_metric=loss" in line
    assert describe([], validation=500)[1:] == []


def test_a_line_says_where_the_images_are_with_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(images_used.memory, "total_bytes", lambda: 4_000_000_000)
    config = make_config("mobilenet", "0,memory_share=0.25")
    images = np.zeros((500, 40, 50, 3), np.uint8)
    held = {"train": Split(images, np.zeros(500, np.int32), ("a",) * 500)}
    assert images_used.describe_place(config, held) == (
        "memory      holds all images: 3.0 MB of 4.0 GB (memory_share=0.25 is the most that they "
        "take)"
    )
    stored = {"train": store(held["train"], tmp_path)}
    size = sum(path.stat().st_size for path in tmp_path.glob("*.array_record"))
    place = images_used.describe_place(config, stored)
    assert place == (
        "memory      does not hold the images, 3.0 MB of 4.0 GB, which is more than "
        f"memory_share=0.25: threads read them from {tmp_path} ({size / 1e6:.1f} MB)"
    )
    config.data_workers = 3
    assert ": 3 workers read them" in images_used.describe_place(config, stored)
    images = dataclasses.replace(stored["train"].images, divided=True)
    divided = {"train": dataclasses.replace(stored["train"], images=images)}
    place = images_used.describe_place(config, divided)
    assert "in every process, 3 workers read its own parts of them from" in place


def test_images_on_disk_are_counted_by_colour_without_reading_them(tmp_path, monkeypatch):
    images = np.zeros((9, 8, 8, 3), np.uint8)
    images[:4, 2, 2, 1] = 9
    stored = store(Split(images, np.zeros(9, np.int32), ("a",) * 9), tmp_path)
    monkeypatch.setattr(StoredImages, "read", lambda *_: pytest.fail("read again"))
    said = images_used.describe_other_channels(ImageFormat(8, "rgb"), {"train": stored}, [])
    assert said.startswith("5 of 9 images have no colour")
