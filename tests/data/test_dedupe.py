"""The rules of de-duplication as properties, leaks against a comparison of every pair."""

import dataclasses
import io
import itertools
import random

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceemo.config import CLASSES, SPLITS
from faceemo.data import archive, dedupe, ledger

PASSED = (ledger.KEPT, ledger.DUPLICATE, ledger.CONFLICT)


def row(split, label, number, dhash, fate=ledger.KEPT, sha256=None):
    return ledger.Row(
        path=f"{split}/{label}/{number}.jpg",
        sha256=sha256 or f"{split}{label}{number}",
        bytes=1,
        mode="L",
        width=48,
        height=48,
        split=split,
        label=label,
        face_confidence=1.0,
        face_box=None,
        dhash=dhash,
        has_face=fate not in (ledger.NO_FACE, ledger.UNREADABLE),
        fate=fate,
        reason="",
    )


def fates(rows):
    return {row.path: row.fate for row in dedupe.judge(rows)}


random_rows = st.lists(
    st.builds(
        row,
        st.sampled_from(SPLITS),
        st.sampled_from(CLASSES),
        st.integers(0, 99),
        st.sampled_from(["0a", "0b", "0c", "0d", "0e"]),
        st.sampled_from([ledger.KEPT] * 5 + [ledger.NO_FACE, ledger.UNREADABLE]),
    ),
    max_size=30,
    unique_by=lambda row: row.path,
)


@settings(max_examples=300, deadline=None)
@given(random_rows, st.randoms(use_true_random=False))
def test_rules(rows, shuffler):
    judged = dedupe.judge(rows)
    assert [row.path for row in judged] == [row.path for row in rows]
    shuffled = shuffler.sample(rows, len(rows))
    assert fates(shuffled) == fates(rows)  # whatever the order of files
    groups = {}
    for before, after in zip(rows, judged, strict=True):
        if before.split == "test" or not before.has_face:
            assert after == before
        else:
            groups.setdefault(after.dhash, []).append(after)
    for dhash, members in groups.items():
        kept = [row for row in members if row.fate == ledger.KEPT]
        if len(members) == 1:
            assert kept == members
            assert members[0].duplicate_group is None
            continue
        assert {row.duplicate_group for row in members} == {dhash}
        labels = {row.label for row in members}
        if len(labels) > 1:
            assert {row.fate for row in members} == {ledger.CONFLICT}
            assert all(label in row.reason for row in members for label in labels)
            continue
        (only,) = kept  # exactly one stays
        others = [row for row in members if row is not only]
        assert all(row.fate == ledger.DUPLICATE and only.path in row.reason for row in others)
        if {row.split for row in members} == {"train", "validation"}:
            assert only.split == ("train" if only.label == "happy" else "validation")
        number = int(only.path.split("/")[-1].removesuffix(".jpg"))
        for other in others:
            if other.split == only.split:
                assert number < int(other.path.split("/")[-1].removesuffix(".jpg"))


def test_lowest_number_not_first_text():
    rows = [
        row("train", "sad", 10, "aa"),
        row("train", "sad", 9, "aa"),
        row("train", "sad", 100, "aa"),
    ]
    assert [path for path, fate in fates(rows).items() if fate == ledger.KEPT] == [
        "train/sad/9.jpg"
    ]


def test_row_order():
    wanted = ["2.jpg", "9.jpg", "010.jpg", "10.png", "100.jpg", "a.jpg", "a2.jpg", "a10.jpg",
              "b1c9.jpg", "b1c10.jpg", "²3.jpg"]  # fmt: skip
    paths = [f"train/sad/{name}" for name in wanted]
    for seed in range(5):
        mixed = random.Random(seed).sample(paths, len(paths))
        assert sorted(mixed, key=dedupe.row_order) == paths


def test_an_unscreened_face_takes_no_part():
    """An image without a face must not push out, nor contradict, one with a face."""
    rows = [row("train", "sad", 1, "aa", ledger.NO_FACE), row("train", "happy", 2, "aa")]
    assert fates(rows) == {"train/sad/1.jpg": ledger.NO_FACE, "train/happy/2.jpg": ledger.KEPT}


@settings(max_examples=100, deadline=None)
@given(random_rows)
def test_leaks_match_a_comparison_of_every_pair(rows):
    rows = [
        dataclasses.replace(row, sha256=str((int(row.dhash, 16) + len(row.path)) % 3))
        for row in rows
    ]
    found = dedupe.leaks(rows)
    for name, (searched, others) in dedupe.LEAKS.items():
        for sameness, field in dedupe.SAMENESS.items():
            twins = {
                a.path: a.label
                for a, b in itertools.product(rows, rows)
                if a.split == searched
                and b.split in others
                and getattr(a, field) == getattr(b, field)
            }
            wanted = {label: list(twins.values()).count(label) for label in CLASSES}
            assert found[name][sameness] == wanted


def test_leaks_ignore_rows_without_a_hash():
    rows = [row("train", "sad", 1, None), row("validation", "sad", 2, None)]
    assert dedupe.leaks(rows)["validation in train"]["same dHash"]["sad"] == 0


@settings(max_examples=100, deadline=None)
@given(random_rows)
def test_nothing_leaks_from_train_to_validation_afterwards(rows):
    kept = [row for row in dedupe.judge(rows) if row.fate == ledger.KEPT]
    assert not any(dedupe.leaks(kept)["validation in train"]["same dHash"].values())


def varied_images():
    """Modes, sizes and formats: (name, bytes)."""
    rng = np.random.default_rng(5)
    for index, (mode, suffix) in enumerate(
        itertools.product(["L", "RGB", "RGBA", "P", "1", "LA", "CMYK", "I;16"], ["png", "jpg"])
    ):
        if suffix == "jpg" and mode not in ("L", "RGB", "CMYK"):
            continue
        if suffix == "png" and mode == "CMYK":
            continue
        size = [(48, 48), (9, 8), (1, 1), (200, 31)][index % 4]
        smooth = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize(size)
        image = (
            Image.fromarray(rng.integers(0, 65536, size[::-1], np.uint16))
            if mode == "I;16"
            else smooth.convert(mode)
        )
        stream = io.BytesIO()
        image.save(stream, "JPEG" if suffix == "jpg" else "PNG")
        yield f"{index}.{suffix}", stream.getvalue()


@pytest.fixture
def root(tmp_path):
    """Originals of many kinds; two are equal, one of a pair re-encoded; one is unreadable."""
    folder = tmp_path / archive.FOLDER / "train" / "happy"
    folder.mkdir(parents=True)
    for name, content in varied_images():
        (folder / name).write_bytes(content)
    (folder / "100.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "101.jpg").write_bytes(b"not an image")
    return tmp_path


def rows_of(root):
    for path in sorted((root / archive.FOLDER).rglob("*.*")):
        fate = ledger.UNREADABLE if path.name == "101.jpg" else ledger.KEPT
        name = path.relative_to(root / archive.FOLDER).as_posix()
        yield dataclasses.replace(row("train", "happy", 0, None, fate), path=name)


def test_hashes_are_those_of_imagehash(root):
    for found in dedupe.dedupe(root, list(rows_of(root))):
        if found.fate == ledger.UNREADABLE:
            assert found.dhash is None
            continue
        assert found.dhash is not None
        path = root / archive.FOLDER / found.path
        with Image.open(path) as image:
            assert imagehash.hex_to_hash(found.dhash) == imagehash.dhash(image, hash_size=8)
        assert len(found.dhash) == 16


def test_copies_what_is_kept_byte_for_byte(root):
    before = {path: path.read_bytes() for path in root.rglob("*.*") if path.is_file()}
    judged = dedupe.dedupe(root, list(rows_of(root)))
    unique = root / dedupe.FOLDER
    copies = {path.relative_to(unique).as_posix() for path in unique.rglob("*") if path.is_file()}
    assert copies == {row.path for row in judged if row.fate == ledger.KEPT}
    assert "train/happy/100.png" not in copies
    for name in copies:
        original, copy = root / archive.FOLDER / name, unique / name
        assert original.read_bytes() == copy.read_bytes()
        assert not original.samefile(copy)  # no link: the copy may be changed
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in unique.iterdir()} == set(SPLITS)
    assert all(
        {path.name for path in (unique / split).iterdir()} == set(CLASSES) for split in SPLITS
    )


def test_doing_it_again_changes_nothing(root):
    once = dedupe.dedupe(root, list(rows_of(root)))
    assert {row.fate for row in once} == {*PASSED[:2], ledger.UNREADABLE}
    assert dedupe.dedupe(root, once) == once
