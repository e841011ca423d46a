"""Checks the folder of screened images."""

from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.prepare import folders
from faceemo.data.source import archive
from tests.support.data.rows import row


def test_images_are_copied_byte_for_byte_and_divided_by_confidence(tmp_path):
    rows = [
        row("train/happy/1.jpg", has_face=True),
        row("train/happy/2.jpg", has_face=False),
        row("test/sad/3.jpg", has_face=True, fate=ledger.DUPLICATE),
        row("test/sad/4.jpg", problem="cut off"),
    ]
    for index, one in enumerate(rows):
        path = tmp_path / archive.FOLDER / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([index]) * 9)
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
