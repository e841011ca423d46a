"""Unpacking against zipfile, and everything a zip may have wrong with it."""

import io
import shutil
import stat
import zipfile

import numpy as np
import pytest

from faceemo.config import CLASSES, SPLITS
from faceemo.data import archive, zips
from faceemo.errors import UserError

GOOD = {
    f"{archive.FOLDER}/{split}/{label}/{row}.jpg": f"{split} {label} {row}".encode() * 20
    for split in SPLITS
    for label in CLASSES
    for row in (7, 12)
}
ONE = f"{archive.FOLDER}/train/happy/7.jpg"


def write_zip(root, files, method=zipfile.ZIP_STORED):
    """Writes the zip; a key may be a ZipInfo."""
    root.mkdir(exist_ok=True)
    with zipfile.ZipFile(root / archive.ZIP, "w", method) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return root


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def without_top(files):
    return {name.removeprefix(f"{archive.FOLDER}/"): content for name, content in files.items()}


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("change", [dict, without_top])
def test_unpacks_the_same_bytes(tmp_path, change, method):
    root = write_zip(tmp_path, change(GOOD), method)
    found = archive.originals(root)
    assert found.unpacked
    assert contents(found.folder) == without_top(GOOD)
    assert list(found.images) == sorted(without_top(GOOD))
    assert {path.name for path in root.iterdir()} == {archive.ZIP, archive.FOLDER}


def test_litter_and_folder_entries_are_ignored(tmp_path):
    litter = {
        "__MACOSX/._x": b"",
        "__MACOSX/train/happy/._7.jpg": b"",
        f"{archive.FOLDER}/.DS_Store": b"x",
        f"{archive.FOLDER}/train/Thumbs.db": b"x",
        f"{archive.FOLDER}/": b"",
        f"{archive.FOLDER}/train/": b"",
        f"{archive.FOLDER}/train/happy/": b"",
    }
    root = write_zip(tmp_path, GOOD | litter)
    assert contents(archive.originals(root).folder) == without_top(GOOD)


def moved(name):
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
    "split twice by case": (moved(f"{archive.FOLDER}/Train/happy/7.jpg"), "for train: .*Train"),
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
def test_bad_directory(tmp_path, case):
    files, message = BAD[case]
    root = write_zip(tmp_path / "root", files)
    with pytest.raises(UserError, match=message):
        archive.originals(root)
    assert [path.name for path in tmp_path.rglob("*")] == ["root", archive.ZIP]  # nothing written


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_same_name_twice(tmp_path):
    root = write_zip(tmp_path, GOOD)
    with zipfile.ZipFile(root / archive.ZIP, "a") as target:
        target.writestr(ONE, b"another")
    with pytest.raises(UserError, match="repeated"):
        archive.originals(root)


def test_bomb_by_ratio(tmp_path):
    files = GOOD | {f"{archive.FOLDER}/train/happy/8.jpg": bytes(20 * 2**20)}
    root = write_zip(tmp_path, files, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=f"at most {zips.MAX_RATIO} times .* bomb"):
        archive.originals(root)


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_FILES", len(GOOD) - 1, "entries"),
        ("MAX_FILE_BYTES", 300, "bytes in one file"),
        ("MAX_TOTAL_BYTES", 3000, "bytes unpacked"),
    ],
)
def test_bomb_by_limit(tmp_path, monkeypatch, limit, value, message):
    root = write_zip(tmp_path, GOOD)
    monkeypatch.setattr(zips, limit, value)
    with pytest.raises(UserError, match=message):
        archive.originals(root)


def test_understated_size_does_not_pass(tmp_path):
    """The zip says 10 bytes; the compressed data holds a megabyte."""
    name = f"{archive.FOLDER}/train/happy/8.jpg"
    root = write_zip(tmp_path, GOOD | {name: bytes(2**20)}, zipfile.ZIP_DEFLATED)
    content = bytearray((root / archive.ZIP).read_bytes())
    at = content.rindex(name.encode())  # in the central directory, sizes 22 bytes before the name
    assert content[at - 22 : at - 18] == (2**20).to_bytes(4, "little")
    content[at - 22 : at - 18] = (10).to_bytes(4, "little")
    (root / archive.ZIP).write_bytes(content)
    with pytest.raises(UserError, match="undamaged"):
        archive.originals(root)
    assert not (root / archive.FOLDER).exists()


def test_crc_error_names_the_file(tmp_path):
    root = write_zip(tmp_path, GOOD)
    content = (root / archive.ZIP).read_bytes()
    damaged = content.replace(b"test sad 12", b"test sad 13", 1)
    (root / archive.ZIP).write_bytes(damaged)
    with pytest.raises(UserError, match=r"CRC.*test/sad/12\.jpg"):
        archive.originals(root)
    assert [path.name for path in root.iterdir()] == [archive.ZIP]


def test_encrypted(tmp_path):
    root = write_zip(tmp_path, GOOD)
    content = bytearray((root / archive.ZIP).read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    (root / archive.ZIP).write_bytes(content)
    with pytest.raises(UserError, match="encrypted"):
        archive.originals(root)


def test_not_a_zip(tmp_path):
    (tmp_path / archive.ZIP).write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match="no zip file"):
        archive.originals(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_damage_anywhere_is_a_user_error(tmp_path, method):
    """A flipped or missing byte gives one clear error, or files that are right all the same."""
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
            folder = archive.originals(tmp_path).folder
        except UserError:
            refused += 1
            assert not (tmp_path / archive.FOLDER).exists()
            continue
        # a flipped letter of a name goes unnoticed; a flipped letter of a file does not
        assert sorted(contents(folder).values()) == sorted(GOOD.values())
        shutil.rmtree(folder)
    assert 75 < refused < 150


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match=f"put the zip at .*{archive.ZIP}"):
        archive.originals(tmp_path)
    with pytest.raises(UserError, match="put the zip at"):
        archive.originals(tmp_path / "nowhere")


def test_own_folder_is_taken_as_it_is(tmp_path):
    folder = archive.originals(write_zip(tmp_path, GOOD)).folder
    (tmp_path / archive.ZIP).unlink()
    (folder / "train/happy/99.png").write_bytes(b"mine")
    found = archive.originals(tmp_path)
    assert not found.unpacked
    assert "train/happy/99.png" in found.images
    shutil.rmtree(folder / "test/sad")
    with pytest.raises(UserError, match="no image in 'test/sad'"):
        archive.originals(tmp_path)
    (folder / "test/sad").mkdir()
    with pytest.raises(UserError, match="no image in 'test/sad'"):
        archive.originals(tmp_path)


def test_own_folder_may_be_linked_together(tmp_path):
    elsewhere = archive.originals(write_zip(tmp_path / "a", GOOD)).folder
    (tmp_path / "b" / archive.FOLDER).mkdir(parents=True)
    for split in SPLITS:
        (tmp_path / "b" / archive.FOLDER / split).symlink_to(elsewhere / split)
    assert archive.originals(tmp_path / "b").images == archive.originals(tmp_path / "a").images


def test_same_folder_and_zip_agree(tmp_path):
    first = archive.originals(write_zip(tmp_path, GOOD))
    again = archive.originals(tmp_path)
    assert not again.unpacked
    assert again.fingerprint == first.fingerprint


def add(folder):
    (folder / "train/happy/99.jpg").write_bytes(b"mine")


def remove(folder):
    (folder / "train/happy/7.jpg").unlink()


def change_content_only(folder):
    path = folder / "train/happy/7.jpg"
    path.write_bytes(path.read_bytes()[::-1])


@pytest.mark.parametrize("change", [add, remove, change_content_only])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_changed_folder_is_never_touched(tmp_path, change, recorded):
    first = archive.originals(write_zip(tmp_path, GOOD))
    change(first.folder)
    before = contents(first.folder)
    with pytest.raises(UserError, match="1 differ or are on one side only: 'train/happy"):
        archive.originals(tmp_path, first.fingerprint if recorded else None)
    assert contents(first.folder) == before


def test_new_zip_replaces_only_what_was_unpacked(tmp_path):
    first = archive.originals(write_zip(tmp_path, GOOD))
    changed = GOOD | {ONE: b"new"}
    write_zip(tmp_path, changed)
    with pytest.raises(UserError, match="1 differ"):
        archive.originals(tmp_path)  # not known to be ours
    second = archive.originals(tmp_path, first.fingerprint)
    assert second.unpacked
    assert contents(second.folder) == without_top(changed)
    assert {path.name for path in tmp_path.iterdir()} == {archive.ZIP, archive.FOLDER}


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    partial = tmp_path / f".{archive.FOLDER}.partial" / "train/happy"
    partial.mkdir(parents=True)
    (partial / "7.jpg").write_bytes(b"half")
    found = archive.originals(write_zip(tmp_path, GOOD))
    assert contents(found.folder) == without_top(GOOD)
    assert {path.name for path in tmp_path.iterdir()} == {archive.ZIP, archive.FOLDER}


def test_full_disk_is_told_before_writing(tmp_path, monkeypatch):
    root = write_zip(tmp_path, GOOD)
    usage = type(shutil.disk_usage(tmp_path))(total=10**9, used=10**9 - 100, free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="free disk"):
        archive.originals(root)


def test_limits_leave_room_for_real_sets():
    """A million 48x48 JPEGs of 1.6 kB, stored, must pass."""
    assert zips.MAX_FILES > 1_000_000
    assert zips.MAX_TOTAL_BYTES > 1_000_000 * 1600
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("flat.bmp", bytes([128]) * 48 * 48)  # as flat as images get
    assert 48 * 48 / len(buffer.getvalue()) < zips.MAX_RATIO
