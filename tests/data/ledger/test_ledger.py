"""Rows survive writing and reading; equal rows give equal bytes."""

import dataclasses
import json
import random

import pytest

from faceemo.data.ledger import ledger
from faceemo.errors import UserError

ROW = ledger.Row(
    path="train/happy/7.jpg",
    sha256="ab" * 32,
    bytes=1596,
    mode="L",
    width=48,
    height=48,
    split="train",
    label="happy",
    face_confidence=0.99987316,
    face_box=(2.88, -0.55, 45.99, 48.55),
    face_side=300,
    dhash="701990a464a4c6c2",
    dhash_mirrored="c3d3dada9ee6f98f",
    pixels_sha256="cd" * 32,
    blank=0.125,
    similar=(
        ledger.Likeness(
            pixels_sha256="ef", path="train/sad/3.jpg", distance=2, similarity=0.991, mirrored=True
        ),
        ledger.Likeness(
            pixels_sha256="fe", path="test/sad/4.jpg", distance=0, similarity=1.0, mirrored=False
        ),
    ),
    has_face=True,
    near_group="train/sad/3.jpg",
    near_distance=2,
    near_similarity=0.991,
    near_mirrored=True,
    label_conflict=True,
    leaks=("test", "validation"),
    label_score=0.25,
    predicted_label="sad",
    fate=ledger.KEPT,
    reason="",
)
UNREADABLE = dataclasses.replace(
    ROW,
    path="train/sad/Zoë \udcff'\"\\.jpg",  # a name that is not UTF-8 on disk
    mode=None,
    width=None,
    height=None,
    face_confidence=None,
    face_box=None,
    face_side=None,
    dhash=None,
    dhash_mirrored=None,
    pixels_sha256=None,
    blank=None,
    similar=(),
    leaks=(),
    problem="OSError: image file is truncated",
    fate=ledger.UNREADABLE,
    reason="OSError: image file is truncated\n(0 bytes)",
)
ROWS = [
    dataclasses.replace(ROW, path=f"train/happy/{row}.jpg", fate=fate)
    for row, fate in enumerate(ledger.FATES)
] + [UNREADABLE]


def test_read_returns_the_rows_written(tmp_path):
    ledger.write(tmp_path, ROWS)
    assert ledger.read(tmp_path) == sorted(ROWS, key=lambda row: row.path)


def test_every_line_is_a_json_object_with_every_field(tmp_path):
    ledger.write(tmp_path, ROWS)
    lines = (tmp_path / ledger.NAME).read_text().splitlines()
    assert len(lines) == len(ROWS)
    for line in lines:
        assert list(json.loads(line)) == [field.name for field in dataclasses.fields(ledger.Row)]


def test_bytes_do_not_depend_on_the_order(tmp_path):
    ledger.write(tmp_path, ROWS)
    first = (tmp_path / ledger.NAME).read_bytes()
    ledger.write(tmp_path, random.Random(0).sample(ROWS, len(ROWS)))
    assert (tmp_path / ledger.NAME).read_bytes() == first


def test_a_failed_write_leaves_the_old_ledger(tmp_path):
    ledger.write(tmp_path, ROWS)
    nan = dataclasses.replace(ROW, path="zzz", face_confidence=float("nan"))  # is not JSON
    with pytest.raises(ValueError, match="JSON"):
        ledger.write(tmp_path, [ROW, nan])
    assert len(ledger.read(tmp_path)) == len(ROWS)
    assert [path.name for path in tmp_path.iterdir()] == [ledger.NAME]


def test_rows_take_little_memory(tmp_path):
    """300,000 of them are held at once, some of them in several versions."""
    ledger.write(tmp_path, [ROW, dataclasses.replace(ROW, path="zzz")])
    one, other = ledger.read(tmp_path)
    assert not hasattr(one, "__dict__")
    assert one.label is other.label


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "{}", '{"path": "x"}', json.dumps(ledger.to_fields(ROW) | {"colour": "red"})],
)
def test_the_error_names_the_bad_line(tmp_path, line):
    ledger.write(tmp_path, [ROW])
    with (tmp_path / ledger.NAME).open("a") as lines:
        lines.write(line + "\n")
    with pytest.raises(UserError, match="line 2"):
        ledger.read(tmp_path)


def test_the_error_says_when_the_ledger_is_of_an_older_version(tmp_path):
    older = {name: value for name, value in ledger.to_fields(ROW).items() if name != "blank"}
    (tmp_path / ledger.NAME).write_text(json.dumps(older) + "\n")
    with pytest.raises(UserError, match=r"no blank: an older faceemo.*faceemo prepare"):
        ledger.read(tmp_path)


def test_a_missing_ledger_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"faceemo prepare"):
        ledger.read(tmp_path)


def test_count_by_split():
    rows = [ROW, ROW, dataclasses.replace(ROW, split="test", label="sad")]
    assert ledger.count_by_split(rows) == {"train": {"happy": 2}, "test": {"sad": 1}}
    among = [*rows, dataclasses.replace(ROW, label="sad")]
    assert ledger.count_by_split(rows, among) == {
        "train": {"happy": 2, "sad": 0},
        "test": {"sad": 1},
    }
