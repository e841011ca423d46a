"""A run says how many images it uses, what it keeps of them, and how coarse their accuracy is."""

import numpy as np
import pytest

from faceemo.config import make_config
from faceemo.data.pipeline import Split
from faceemo.experiments import images_used
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
                                          "native_size=128 keeps", "1 of 1 files are in colour",
                                          "no field keeps")),
        (96, "L", "0,image_size=128", ("native_size=96 keeps",)),
        (96, "L", "0,image_size=48", ("the network sees 48, so more need image_size",)),
        (48, "CMYK", "0,image_size=128", ("48x48 grey pixels: 1 of 1 files are in colour",)),
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


def test_few_validation_images_are_told_how_coarse_their_accuracy_is():
    """The interval is SciPy's: 48 images, half of them right."""
    from scipy.stats import binomtest

    interval = binomtest(24, 48).proportion_ci(method="wilson")
    (line,) = describe([], validation=48)[1:]
    assert "one image is 2.1 points" in line
    assert f"up to {50 * (interval.high - interval.low):.0f} points" in line
    assert "patience_metric=loss" in line
    assert describe([], validation=500)[1:] == []
