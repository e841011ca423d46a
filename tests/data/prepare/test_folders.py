"""Checks the folders of copies, and that a killed process loses no copy."""

import shutil

import pytest

from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.prepare import folders
from faceemo.data.source import archive
from tests.support.data.rows import row


def write(root, rows):
    for index, one in enumerate(rows):
        path = root / archive.FOLDER / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([index]) * 9)


def test_images_are_copied_byte_for_byte_and_divided_by_confidence(tmp_path):
    rows = [
        row("train/happy/1.jpg", has_face=True, face_confidence=0.9),
        row("train/happy/2.jpg", has_face=False, face_confidence=0.1),
        row("test/sad/3.jpg", has_face=True, face_confidence=0.8, fate=ledger.DUPLICATE),
        row("test/sad/4.jpg", problem="cut off"),
        row("test/sad/5.jpg", has_face=True, face_confidence=None),  # not seen by the detector
    ]
    write(tmp_path, rows)
    folders.fill_screened(tmp_path, rows)
    folder = tmp_path / folders.SCREENED
    copies = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.jpg")
    }
    assert copies == {
        f"{folders.HIGH}/train/happy/1.jpg": b"\0" * 9,
        f"{folders.LOW}/train/happy/2.jpg": b"\1" * 9,
        f"{folders.HIGH}/test/sad/3.jpg": b"\2" * 9,
    }
    for name in (folders.HIGH, folders.LOW):
        assert {path.name for path in (folder / name).iterdir()} == set(SPLITS)
        for split in SPLITS:
            assert {path.name for path in (folder / name / split).iterdir()} == {"happy", "sad"}


@pytest.fixture
def copied(monkeypatch):
    """Names of the files that are copied; the process 'dies' within the third copy."""
    names = []
    copy = shutil.copyfile

    def record(source, target):
        names.append(source.name)
        if len(names) == 3:
            target.write_bytes(source.read_bytes()[:4])
            raise KeyboardInterrupt
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", record)
    return names


def make_rows(number, **fields):
    return [row(f"train/happy/{index}.jpg", **fields) for index in range(number)]


def list_files(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def test_an_interrupted_copy_goes_on_where_it_stopped(tmp_path, copied):
    rows = make_rows(5)
    write(tmp_path, rows)
    with pytest.raises(KeyboardInterrupt):
        folders.fill_unique(tmp_path, rows)
    assert not (tmp_path / folders.UNIQUE).exists()
    folders.fill_unique(tmp_path, rows)
    assert copied == ["0.jpg", "1.jpg", "2.jpg", "2.jpg", "3.jpg", "4.jpg"]
    expected = {f"{index}.jpg": bytes([index]) * 9 for index in range(5)}
    assert list_files(tmp_path / folders.UNIQUE) == expected
    assert {path.name for path in tmp_path.iterdir()} == {archive.FOLDER, folders.UNIQUE}


def test_copies_of_other_images_are_made_anew(tmp_path, copied):
    """One image has changed since, so the copies of the interrupted call do not count."""
    rows = make_rows(4)
    write(tmp_path, rows)
    with pytest.raises(KeyboardInterrupt):
        folders.fill_unique(tmp_path, rows)
    changed = tmp_path / archive.FOLDER / "train/happy/0.jpg"
    changed.write_bytes(b"other")
    folders.fill_unique(tmp_path, [*make_rows(1, sha256="other"), *rows[1:]])
    assert list_files(tmp_path / folders.UNIQUE)["0.jpg"] == b"other"
    assert {path.name for path in tmp_path.iterdir()} == {archive.FOLDER, folders.UNIQUE}
