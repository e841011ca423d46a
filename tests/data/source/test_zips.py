"""Faulty zips: one clear error and nothing written; litter is ignored."""

import io
import shutil
import stat
import zipfile

import numpy as np
import pytest

from faceemo.data.source import archive, zips
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.good_zip import GOOD, ONE, without_top, write_zip


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def test_litter_and_folder_entries_are_ignored(tmp_path):
    litter = {
        "__MACOSX/._x": b"",
        "__MACOSX/train/happy/._7.jpg": b"",
        f"{archive.FOLDER}/.DS_Store": b"x",
        f"{archive.FOLDER}/train/Thumbs.db": b"x",
        entry(f"{archive.FOLDER}/", stat.S_IFDIR | 0o755): b"",
        entry(f"{archive.FOLDER}/train/", stat.S_IFDIR | 0o755): b"",
        entry(f"{archive.FOLDER}/train/happy/", stat.S_IFDIR | 0o755): b"",
    }
    root = write_zip(tmp_path, GOOD | litter)
    assert forms.read_folder(archive.ensure_originals(root).folder) == without_top(GOOD)


def rename_one(name):
    files = dict(GOOD)
    files[name] = files.pop(ONE)
    return files


BAD = {
    "traversal": (GOOD | {f"{archive.FOLDER}/train/happy/../../../../x.jpg": b"x"}, "unsafe"),
    "traversal at the start": (GOOD | {"../x.jpg": b"x"}, "unsafe"),
    "absolute": (GOOD | {"/etc/x.jpg": b"x"}, "unsafe"),
    "drive": (GOOD | {"C:/train/happy/x.jpg": b"x"}, "unsafe"),
    "backslash": (GOOD | {"train\\happy\\..\\..\\x.jpg": b"x"}, "unsafe"),
    "long name": (GOOD | {f"train/happy/{'x' * 300}.jpg": b"x"}, "unsafe"),
    "symlink": (GOOD | {entry("train/happy/8.jpg", stat.S_IFLNK | 0o777): b"/etc/passwd"}, "link"),
    "device": (GOOD | {entry("train/happy/8.jpg", stat.S_IFCHR | 0o777): b""}, "device"),
    "repeated by case": (GOOD | {f"{archive.FOLDER}/train/happy/7.JPG": b"x"}, "repeated"),
    "with top folder and without": (GOOD | {"train/happy/7.jpg": b"x"}, "several sets"),
    "wrong split": (GOOD | {f"{archive.FOLDER}/trial/happy/7.jpg": b"x"}, "trial/happy"),
    "one split twice": (GOOD | {f"{archive.FOLDER}/valid/happy/7.jpg": b"x"}, "more than one"),
    "split twice by case": (
        rename_one(f"{archive.FOLDER}/Train/happy/7.jpg"),
        "for train: .*Train",
    ),
    "wrong class instead": (
        {name.replace("sad", "sadness"): content for name, content in GOOD.items()},
        r"no image in 'train/sad'.*sadness 6.*class_map=happiness=happy",
    ),
    "two sets": (GOOD | {"other/train/happy/9.jpg": b"x"}, "several sets side by side"),
    "too deep": (GOOD | {f"{archive.FOLDER}/train/happy/a/7.jpg": b"x"}, "train/happy/a"),
    "too shallow": (GOOD | {f"{archive.FOLDER}/train/7.jpg": b"x"}, "train/7.jpg"),
    "empty": ({}, "no image; the top of the tree: nothing"),
    "missing class": (
        {name: content for name, content in GOOD.items() if "test/sad" not in name},
        "no image in 'test/sad'",
    ),
    "missing split": (
        {name: content for name, content in GOOD.items() if "/train/" not in name},
        "no image in 'train/happy', 'train/neutral'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_directory_is_refused_and_nothing_written(tmp_path, case):
    files, message = BAD[case]
    root = write_zip(tmp_path / "root", files)
    with pytest.raises(UserError, match=message):
        archive.ensure_originals(root)
    assert [path.name for path in tmp_path.rglob("*")] == ["root", archive.ZIP]  # nothing written


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(tmp_path):
    root = write_zip(tmp_path, GOOD)
    with zipfile.ZipFile(root / archive.ZIP, "a") as target:
        target.writestr(ONE, b"another")
    with pytest.raises(UserError, match="repeated"):
        archive.ensure_originals(root)


def test_a_bomb_is_refused_by_its_ratio(tmp_path):
    files = GOOD | {f"{archive.FOLDER}/train/happy/8.jpg": bytes(20 * 2**20)}
    root = write_zip(tmp_path, files, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=f"at most {zips.MAX_RATIO} times .* bomb"):
        archive.ensure_originals(root)


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_FILES", len(GOOD) - 1, "entries"),
        ("MAX_FILE_BYTES", 300, "bytes in one file"),
        ("MAX_TOTAL_BYTES", 3000, "bytes unpacked"),
    ],
)
def test_a_bomb_is_refused_by_its_size(tmp_path, monkeypatch, limit, value, message):
    root = write_zip(tmp_path, GOOD)
    monkeypatch.setattr(zips, limit, value)
    with pytest.raises(UserError, match=message):
        archive.ensure_originals(root)


def test_an_understated_size_is_refused(tmp_path):
    """The zip says 10 bytes; the compressed data holds a megabyte."""
    name = f"{archive.FOLDER}/train/happy/8.jpg"
    root = write_zip(tmp_path, GOOD | {name: bytes(2**20)}, zipfile.ZIP_DEFLATED)
    content = bytearray((root / archive.ZIP).read_bytes())
    at = content.rindex(name.encode())  # in the central directory, sizes 22 bytes before the name
    assert content[at - 22 : at - 18] == (2**20).to_bytes(4, "little")
    content[at - 22 : at - 18] = (10).to_bytes(4, "little")
    (root / archive.ZIP).write_bytes(content)
    with pytest.raises(UserError, match="undamaged"):
        archive.ensure_originals(root)
    assert not (root / archive.FOLDER).exists()


def test_a_crc_error_names_the_file(tmp_path):
    root = write_zip(tmp_path, GOOD)
    content = (root / archive.ZIP).read_bytes()
    damaged = content.replace(b"test sad 12", b"test sad 13", 1)
    (root / archive.ZIP).write_bytes(damaged)
    with pytest.raises(UserError, match=r"CRC.*test/sad/12\.jpg"):
        archive.ensure_originals(root)
    assert [path.name for path in root.iterdir()] == [archive.ZIP]


def test_an_encrypted_zip_is_refused(tmp_path):
    root = write_zip(tmp_path, GOOD)
    content = bytearray((root / archive.ZIP).read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    (root / archive.ZIP).write_bytes(content)
    with pytest.raises(UserError, match="encrypted"):
        archive.ensure_originals(root)


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / archive.ZIP).write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match="no zip file"):
        archive.ensure_originals(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_damage_anywhere_is_a_user_error(tmp_path, method):
    """A flipped or missing byte gives one clear error, or files that are still right."""
    pristine = (write_zip(tmp_path, GOOD, method) / archive.ZIP).read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for trial in range(150):
        content = bytearray(pristine)
        if trial % 3:
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        else:
            del content[rng.integers(len(content)) :]
        (tmp_path / archive.ZIP).write_bytes(content)
        try:
            folder = archive.ensure_originals(tmp_path).folder
        except UserError:
            refused += 1
            assert not (tmp_path / archive.FOLDER).exists()
            continue
        # a flipped letter of a name goes unnoticed; a flipped letter of a file does not
        assert sorted(forms.read_folder(folder).values()) == sorted(GOOD.values())
        shutil.rmtree(folder)
    assert 75 < refused < 150


def test_the_limits_admit_real_sets():
    """A million 48x48 JPEGs of 1.6 kB, stored, must pass."""
    assert zips.MAX_FILES > 1_000_000
    assert zips.MAX_TOTAL_BYTES > 1_000_000 * 1600
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("flat.bmp", bytes([128]) * 48 * 48)  # as flat as images get
    assert 48 * 48 / len(buffer.getvalue()) < zips.MAX_RATIO
