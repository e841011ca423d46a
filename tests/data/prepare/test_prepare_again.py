"""Preparing again does what is missing or has changed, and nothing else."""

import json

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.measure import measure
from faceemo.data.prepare import folders, prepare
from faceemo.data.source import archive
from tests.support.data.planted import LOOKS, PICTURES, names, picture, state, write_zip


def test_nothing_to_do(done, detector, capsys):
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    capsys.readouterr()
    prepare.prepare(done)
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before | {
        done / ".lock": (done / ".lock").stat().st_mtime_ns
    }
    assert detector.seen == LOOKS
    assert capsys.readouterr().out.count("nothing to do") == 3


def delete_tree(path):
    for inner in sorted(path.rglob("*"), reverse=True):
        inner.rmdir() if inner.is_dir() else inner.unlink()
    path.rmdir()


def change_ledger(root, old, new):
    text = (root / ledger.NAME).read_text()
    assert old in text
    (root / ledger.NAME).write_text(text.replace(old, new))


def forget_fields(root):
    """As an older faceemo wrote it."""
    rows = [json.loads(line) for line in (root / ledger.NAME).read_text().splitlines()]
    old = [{name: row[name] for name in ("path", "sha256", "fate")} for row in rows]
    (root / ledger.NAME).write_text("".join(json.dumps(row) + "\n" for row in old))


def delete_both(root):
    (root / ledger.NAME).unlink()
    (root / measure.NAME).unlink()


# What the user may do to the results, and how many images the detector then has to see again.
DAMAGE = {
    "record gone": (lambda root: (root / prepare.RECORD).unlink(), 0),
    "ledger gone": (lambda root: (root / ledger.NAME).unlink(), 0),
    "ledger and memory gone": (delete_both, LOOKS),
    "ledger of an older version": (forget_fields, 0),
    "screened folder gone": (lambda root: delete_tree(root / folders.SCREENED), 0),
    "unique folder gone": (lambda root: delete_tree(root / folders.UNIQUE), 0),
    "a screened image gone": (
        lambda root: (root / folders.SCREENED / folders.HIGH / "test/happy/10.png").unlink(),
        0,
    ),
    "a unique image gone": (lambda root: (root / folders.UNIQUE / "test/happy/10.png").unlink(), 0),
    "an image slipped in": (
        lambda root: (root / folders.UNIQUE / "test/happy/x.png").write_bytes(b"x"),
        0,
    ),
    "originals gone": (lambda root: delete_tree(root / archive.FOLDER), 0),
    "ledger edited": (lambda root: change_ledger(root, '"duplicate"', '"kept"'), 0),
    "groups edited": (
        lambda root: change_ledger(root, '"label_conflict": true', '"label_conflict": false'),
        0,
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_only_what_is_missing_is_done_again(done, detector, damage):
    change, looks = DAMAGE[damage]
    before = state(done)
    remembered = (done / measure.NAME).read_bytes()
    change(done)
    assert state(done) != before
    prepare.prepare(done)
    assert state(done) == before
    assert (done / measure.NAME).read_bytes() == remembered
    assert detector.seen == LOOKS + looks


def test_a_changed_zip_looks_at_new_images_only(done, detector):
    fewer = {path: what for path, what in PICTURES.items() if path != "train/sad/9.png"}
    write_zip(done, fewer | {"train/sad/11.png": (picture(4321), ledger.KEPT)})
    prepare.prepare(done)
    assert "train/sad/11.png" in names(done / folders.UNIQUE)
    assert "train/sad/10.png" in names(done / folders.UNIQUE)  # its duplicate is gone
    assert "train/sad/9.png" not in names(done)
    assert detector.seen == LOOKS + 1


def test_a_changed_image_in_the_own_folder_is_looked_at(done, detector):
    (done / archive.ZIP).unlink()
    prepare.prepare(done)
    assert detector.seen == LOOKS
    path = done / archive.FOLDER / "train/happy/20.png"
    faceless = picture(20, face=False)
    path.write_bytes(faceless)
    prepare.prepare(done)
    assert detector.seen == LOOKS + 1
    fates = {row.path: row.fate for row in ledger.read(done)}
    assert fates["train/happy/20.png"] == ledger.NO_FACE
    assert path.read_bytes() == faceless
