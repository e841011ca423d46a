"""Faulty zips: one clear error and nothing written; litter is ignored."""

import io
import shutil
import stat
import tarfile
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
    "traversal": (
        GOOD | {f"{archive.FOLDER}/train/happy/../../../../x.jpg": b"x"},
        r"unsafe ones: 1 with '\.\.' in their names",
    ),
    "traversal at the start": (GOOD | {"../x.jpg": b"x"}, r"unsafe ones: 1 with '\.\.'"),
    "absolute": (GOOD | {"/etc/x.jpg": b"x"}, "unsafe ones: 1 with absolute names: '/etc/x.jpg'"),
    "drive": (GOOD | {"C:/train/happy/x.jpg": b"x"}, "unsafe ones: 1 with absolute"),
    "drive with backslash": (GOOD | {"C:\\train\\happy\\x.jpg": b"x"}, "unsafe ones: 1 with absol"),
    "network": (GOOD | {"\\\\host\\share\\x.jpg": b"x"}, "unsafe ones: 1 with absolute"),
    "backslash": (GOOD | {"train\\happy\\..\\..\\x.jpg": b"x"}, r"unsafe ones: 1 with '\.\.'"),
    "symlink": (
        GOOD | {entry("train/happy/8.jpg", stat.S_IFLNK | 0o777): b"/etc/passwd"},
        "unsafe ones: 1 symbolic link",
    ),
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
        {name.replace("sad", "gloomy"): content for name, content in GOOD.items()},
        r"no image in 'train/sad'.*gloomy 6.*class_map=joy=happy",
    ),
    "two sets": (GOOD | {"other/train/happy/9.jpg": b"x"}, "several sets side by side"),
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
    with pytest.raises(UserError, match=r"without a password.*1 encrypted files.*unpack it with"):
        archive.ensure_originals(root)


def names_in(root):
    folder = archive.ensure_originals(root).folder
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.replace("/", "\\"),
        lambda name: f"./{name}",
        lambda name: name.replace("/", "//"),
        lambda name: name.replace("train/", "train/./"),
    ],
)
def test_names_as_some_programs_write_them_are_read(tmp_path, change):
    files = {change(name): content for name, content in GOOD.items()}
    files[change(f"{archive.FOLDER}/train/happy/") + ("" if "\\" in change("/") else "/")] = b""
    root = write_zip(tmp_path, files)
    assert forms.read_folder(archive.ensure_originals(root).folder) == without_top(GOOD)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("2024-01-01 12:30:15.jpg", "2024-01-01 12:30:15.jpg"),
        ("a/7.jpg", "a-7.jpg"),
        ("..7..jpg", "..7..jpg"),
        ("x" * 300 + ".jpg", None),
    ],
)
def test_unusual_names_are_read(tmp_path, name, read):
    names = names_in(write_zip(tmp_path, GOOD | {f"{archive.FOLDER}/train/happy/{name}": b"x"}))
    if read is None:  # shortened
        assert len(names) == len(GOOD) + 1
    elif read.startswith("."):
        assert len(names) == len(GOOD)  # hidden
    else:
        assert f"train/happy/{read}" in names


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("é7.jpg".encode(), "é7.jpg"),  # macOS writes UTF-8 without its mark
        ("é7.jpg".encode("cp437"), "é7.jpg"),
        ("ソ7.jpg".encode("shift_jis"), None),  # its second byte is a backslash
        ("珅7.jpg".encode("gbk"), None),
    ],
)
def test_names_in_other_encodings_without_the_mark_of_utf_8_are_read(tmp_path, raw, read):
    stand_in = "q" * len(raw)
    root = write_zip(tmp_path, GOOD | {f"{archive.FOLDER}/train/happy/{stand_in}": b"x"})
    content = (root / archive.ZIP).read_bytes()
    assert content.count(stand_in.encode()) == 2
    (root / archive.ZIP).write_bytes(content.replace(stand_in.encode(), raw))
    names = names_in(root)
    assert len(names) == len(GOOD) + 1
    if read:
        assert f"train/happy/{read}" in names


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:xz", "w:bz2"])
def test_another_archive_is_called_by_its_name(tmp_path, mode):
    with tarfile.open(tmp_path / archive.ZIP, mode):
        pass
    if mode == "w:":  # an empty one has no header
        with tarfile.open(tmp_path / archive.ZIP, mode) as target:
            target.add(__file__)
    kind = mode.partition(":")[2] or "tar"
    with pytest.raises(UserError, match=rf"found a .*{kind}.* archive. Fix: unpack it"):
        archive.ensure_originals(tmp_path)


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
