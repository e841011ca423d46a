"""The page about a dataset: its numbers against the files and the ledger."""

import collections
import hashlib
import re
import shutil

import imagehash
import pytest

from faceemo.analysis.dataset import brightness, exploration
from faceemo.config import CLASSES, SPLITS
from faceemo.data.prepare import tables
from faceemo.data.source import archive
from tests.support.analysis.exploration_page import (
    SEED,
    Page,
    open_image,
    read_ledger_lines,
)

pytestmark = pytest.mark.slow


def expected_table(root, columns):
    """Computes the rows of the table of counts from counters by stage."""

    def row(name, splits, labels):
        return [name, *(f"{sum(c[s, x] for s in splits for x in labels):,}" for c in columns)]

    rows = []
    for split in SPLITS:
        rows.append(row(split, [split], CLASSES))
        rows += [row(label, [split], [label]) for label in CLASSES]
    return [*rows, row("all", SPLITS, CLASSES)]


def count_files(folder):
    return collections.Counter(path.parts[-3:-1] for path in folder.glob("*/*/*"))


def test_counts_are_those_of_the_folders(prepared):
    """Each stage's numbers equal the number of files that it left on disk."""
    stages = [
        count_files(prepared / folder)
        for folder in (archive.FOLDER, "face_detection/high_confidence_images", "unique_images")
    ]
    assert Page(prepared).rows[2:] == expected_table(prepared, stages)
    totals = [stage.total() for stage in stages]
    assert totals[0] > totals[1] > totals[2]


def test_fates_and_shares_agree_with_the_ledger(prepared):
    rows, page = read_ledger_lines(prepared), Page(prepared)
    kept = sum(row["fate"] == "kept" for row in rows)
    assert f"Kept{kept:,}{kept / len(rows):.1%} of all" in page.text
    assert f"Left out{len(rows) - kept:,}" in page.text
    fates = collections.Counter(row["fate"] for row in rows)
    gone = page.section("Examples of images left out", "Made by")
    for fate, words in (
        ("no_face", "No face"),
        ("unreadable", "Unreadable"),
        ("duplicate", "Duplicate"),
        ("conflict", "Conflicting labels"),
    ):
        assert f"{words} {fates[fate]:,} images" in gone
    costs = page.section("Images left out per class", "Leaks between")
    for split in SPLITS:
        for label in CLASSES:
            here = [row for row in rows if (row["split"], row["label"]) == (split, label)]
            lost = sum(row["fate"] != "kept" for row in here) / len(here)
            assert f"{label} {lost:.1%}" in costs
    low = collections.Counter(row["label"] for row in rows if (row["face_confidence"] or 1) <= 0.5)
    assert ", ".join(f"{label} {low[label]}" for label in CLASSES) in page.text


def test_leaks_agree_with_the_files(prepared):
    """The test counts equal bytes and equal dHashes (imagehash) in the files, before and after."""

    def twins(folder, searched, other, measure):
        def of(split):
            found = collections.defaultdict(list)
            for path in (prepared / folder / split).glob("*/*"):
                try:
                    found[measure(path)].append(path.parent.name)
                except OSError:  # truncated files have no hash
                    continue
            return found

        here, there = of(searched), of(other)
        return collections.Counter(x for key in here if key in there for x in here[key])

    text = Page(prepared).section("Leaks between the splits", "Examples of images left out")
    for pair, end in (("validation in train", "test in train"), ("test in train", "test in val")):
        searched, other = pair.split(" in ")
        part = text[text.index(pair) : text.index(end)]
        for label in CLASSES:
            said = re.search(
                rf"{label} of \d+ same bytes ?(\d+) → (\d+).*? same dHash ?(\d+) → (\d+)", part
            )
            assert said is not None
            bytes_, hashes = (
                [twins(folder, searched, other, measure)[label]
                 for folder in (archive.FOLDER, "unique_images")]
                for measure in (lambda path: hashlib.sha256(path.read_bytes()).hexdigest(),
                                lambda path: str(imagehash.dhash(open_image(path))))
            )  # fmt: skip
            assert [int(number) for number in said.groups()] == [*bytes_, *hashes]


def test_original_numbers_are_shown_for_as_many_images_only(
    prepared, unpacked, tmp_path, monkeypatch
):
    assert "original" not in Page(prepared).text
    root = tmp_path / "photographs"
    shutil.copytree(unpacked, root)
    monkeypatch.setattr(tables, "_TOLERANCE", 1)
    monkeypatch.setattr(tables, "_TEST_TOLERANCE", 100)
    exploration.write(root, SEED, include_test=True)
    cells = [row[2] for row in Page(root).rows[2:-1]]
    published = [
        number
        for of_class in tables.PUBLISHED_COUNTS["unpack"].values()
        for number in (sum(of_class.values()), *of_class.values())
    ]
    assert cells == [f"{number:,}" for number in published]


def test_page_names_missing_stages(unpacked, prepared, tmp_path):
    page = Page(unpacked)
    assert "Not done yet: screening for faces (faceemo prepare --until screen)" in page.text
    assert page.rows[2:] == expected_table(unpacked, [count_files(unpacked / archive.FOLDER)])
    for absent in ("Images left out per class", "Leaks between", "Kept", "The face detector"):
        assert absent not in page.text
    assert "Not done yet" not in Page(prepared).text
    # a ledger about other images is ignored
    root = tmp_path / "other"
    shutil.copytree(prepared, root)
    next((root / archive.FOLDER / "train" / "sad").iterdir()).unlink()
    exploration.write(root, SEED, include_test=True)
    assert Page(root).text.count("Not done yet") == 1
    assert "Images left out per class" not in Page(root).text


def test_of_many_images_some_are_measured_and_all_are_counted(prepared, tmp_path, monkeypatch):
    measured = []
    measure = brightness.measure

    def recording(folder, paths):
        measured.extend(paths)
        return measure(folder, paths)

    monkeypatch.setattr(brightness, "measure", recording)
    monkeypatch.setattr(exploration, "_MOST_MEASURED", 40)
    text = exploration.write(prepared, SEED, path=tmp_path / "page.html").read_text()
    images = archive.hash_images(prepared / archive.FOLDER)
    shown = [path for path in images if not path.startswith("test/")]
    assert 20 <= len(measured) <= 40 < len(shown)
    assert {path.split("/")[1] for path in measured} == set(CLASSES)
    assert re.search(rf"{len(measured)} images were measured, one of every \d+", text)
    for label in CLASSES:
        count = sum(path.split("/")[1] == label for path in shown)
        assert f"<strong>{label}</strong>" in text
        assert f"{count:,} · {count / len(shown):.1%}" in text
