"""Checks that preparing again repeats what is missing or has changed, and nothing else."""

import json

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.measure import measure
from faceemo.data.prepare import folders, prepare
from faceemo.data.source import archive
from tests.support.data.planted import (
    NUM_DECODABLE,
    PLANTED,
    RULES,
    list_images,
    make_image,
    read_results,
    write_zip,
)


def test_preparing_again_changes_nothing(prepared, detector, capsys):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    capsys.readouterr()
    prepare.prepare(prepared, RULES)
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*")} == before | {
        prepared / ".lock": (prepared / ".lock").stat().st_mtime_ns
    }
    assert detector.num_images == NUM_DECODABLE
    assert capsys.readouterr().out.count("nothing to do") == 3


def delete_tree(path):
    for inner in sorted(path.rglob("*"), reverse=True):
        inner.rmdir() if inner.is_dir() else inner.unlink()
    path.rmdir()


def change_ledger(root, old, new):
    text = (root / ledger.NAME).read_text()
    assert old in text
    (root / ledger.NAME).write_text(text.replace(old, new))


def remove_fields(root):
    """Reduces the ledger to the fields that an older version of faceemo wrote."""
    rows = [json.loads(line) for line in (root / ledger.NAME).read_text().splitlines()]
    old = [{name: row[name] for name in ("path", "sha256", "fate")} for row in rows]
    (root / ledger.NAME).write_text("".join(json.dumps(row) + "\n" for row in old))


def delete_both(root):
    (root / ledger.NAME).unlink()
    (root / measure.NAME).unlink()


# {damage by the user: (function, number of images that the detector has to process again)}
DAMAGE = {
    "record deleted": (lambda root: (root / prepare.RECORD).unlink(), 0),
    "ledger deleted": (lambda root: (root / ledger.NAME).unlink(), 0),
    "ledger and measurements deleted": (delete_both, NUM_DECODABLE),
    "ledger of an older version": (remove_fields, 0),
    "screened folder deleted": (lambda root: delete_tree(root / folders.SCREENED), 0),
    "unique folder deleted": (lambda root: delete_tree(root / folders.UNIQUE), 0),
    "a screened image deleted": (
        lambda root: (root / folders.SCREENED / folders.HIGH / "test/happy/10.png").unlink(),
        0,
    ),
    "a unique image deleted": (
        lambda root: (root / folders.UNIQUE / "test/happy/10.png").unlink(),
        0,
    ),
    "an image added": (
        lambda root: (root / folders.UNIQUE / "test/happy/x.png").write_bytes(b"x"),
        0,
    ),
    "originals deleted": (lambda root: delete_tree(root / archive.FOLDER), 0),
    "ledger edited": (lambda root: change_ledger(root, '"duplicate"', '"kept"'), 0),
    "groups edited": (
        lambda root: change_ledger(root, '"label_conflict": true', '"label_conflict": false'),
        0,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_results_are_repaired_with_as_little_work_as_possible(prepared, detector, damage):
    do_damage, repeated = DAMAGE[damage]
    before = read_results(prepared)
    measurements = (prepared / measure.NAME).read_bytes()
    do_damage(prepared)
    assert read_results(prepared) != before
    prepare.prepare(prepared, RULES)
    assert read_results(prepared) == before
    assert (prepared / measure.NAME).read_bytes() == measurements
    assert detector.num_images == NUM_DECODABLE + repeated


def test_measurements_of_an_older_version_are_repeated(prepared, detector):
    before = read_results(prepared)
    for name, field in ((prepare.RECORD, "measured"), (measure.NAME, "version")):
        text = (prepared / name).read_text()
        now, then = (f'"{field}": {number}' for number in (measure.VERSION, measure.VERSION - 1))
        assert now in text
        (prepared / name).write_text(text.replace(now, then))
    prepare.prepare(prepared, RULES)
    assert detector.num_images == 2 * NUM_DECODABLE
    assert read_results(prepared) == before


def test_only_the_new_images_of_a_changed_zip_are_measured(prepared, detector):
    fewer = {path: value for path, value in PLANTED.items() if path != "train/sad/9.png"}
    write_zip(prepared, fewer | {"train/sad/11.png": (make_image(4321), ledger.KEPT)})
    prepare.prepare(prepared, RULES)
    assert "train/sad/11.png" in list_images(prepared / folders.UNIQUE)
    assert "train/sad/10.png" in list_images(prepared / folders.UNIQUE)  # its duplicate is gone
    assert "train/sad/9.png" not in list_images(prepared)
    assert detector.num_images == NUM_DECODABLE + 1


def test_a_changed_original_is_measured_again(prepared, detector):
    (prepared / archive.ZIP).unlink()
    prepare.prepare(prepared, RULES)
    assert detector.num_images == NUM_DECODABLE
    path = prepared / archive.FOLDER / "train/happy/20.png"
    faceless = make_image(20, face=False)
    path.write_bytes(faceless)
    prepare.prepare(prepared, RULES)
    assert detector.num_images == NUM_DECODABLE + 1
    fates = {row.path: row.fate for row in ledger.read(prepared)}
    assert fates["train/happy/20.png"] == ledger.NO_FACE
    assert path.read_bytes() == faceless
