"""Kills, full and read-only disks, missing permissions: one message each, and nothing half-made."""

import contextlib
import errno
import os
import random
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from faceemo import errors
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms, killed


@pytest.fixture(scope="module")
def images(images):
    return forms.whole(images)


MAKERS = (
    lambda root, images: forms.write_zip(root / archive.ZIP, images),
    lambda root, images: forms.write_folder(root / "images", forms.without(images, "validation")),
    lambda root, images: forms.write_folder(
        root, {"fer2013.csv": forms.table(small(images)).encode()}
    ),
)


def small(images):
    """With row numbers that give a short table."""
    numbered = enumerate(sorted(images.items()))
    return {f"{path.rpartition('/')[0]}/{n}.jpg": content for n, (path, content) in numbered}


@pytest.mark.slow
def test_killed_at_twenty_random_points_of_unpacking(tmp_path, images):
    wanted, changes = [], []
    for kind, make in enumerate(MAKERS):
        root = tmp_path / f"whole{kind}"
        make(root, images)
        words, _ = killed.run("unpack", [(root, killed.NEVER)])
        changes.append(int(words.split()[-1]))
        wanted.append(forms.contents(root / archive.FOLDER))
        assert changes[-1] > len(wanted[-1]) > 60
    draw = random.Random(20)
    points = []
    for trial in range(20):
        kind = trial % len(MAKERS)
        root = tmp_path / f"killed{trial}"
        MAKERS[kind](root, images)
        points.append((root, draw.randint(1, changes[kind])))
    assert killed.run("unpack", points) == [f"ended {-signal.SIGKILL}"] * 20
    for trial, (root, _) in enumerate(points):
        archive.originals(root)
        assert forms.contents(root / archive.FOLDER) == wanted[trial % len(MAKERS)]
        assert not [path for path in root.rglob(".*") if path.name != ".lock"]


def full_after(monkeypatch, writes):
    """A disk that takes so many files and a half."""
    write, left = Path.write_bytes, iter(range(writes))

    def refusing(self, content):
        if next(left, None) is None:
            write(self, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", refusing)


def test_a_disk_that_fills_up_leaves_nothing_half_made(tmp_path, images, capsys):
    forms.write_zip(tmp_path / archive.ZIP, images)
    with pytest.MonkeyPatch.context() as patch:
        full_after(patch, writes=30)
        with pytest.raises(SystemExit), errors.reported():
            prepare.prepare(tmp_path, last="unpack")
    said = capsys.readouterr().err
    assert "expected room on the disk; found No space left on device. Fix: free some" in said
    assert said.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {archive.ZIP, ".lock"}
    prepare.prepare(tmp_path, last="unpack")
    assert forms.contents(tmp_path / archive.FOLDER) == images


@contextlib.contextmanager
def unprivileged():
    """As somebody who is not root, for whom permissions count; yields a folder of theirs."""
    folder = Path(tempfile.mkdtemp(prefix="faceemo_test_"))
    try:
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, 65534, 65534)
        try:
            os.seteuid(65534)
        except OSError:
            pytest.skip("runs as root, who may read everything, and cannot become somebody else")
        try:
            yield folder
        finally:
            os.seteuid(0)
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700)
        shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are not Unix's")
@pytest.mark.parametrize("what", ["zip", "image", "folder", "root"])
def test_missing_permissions_are_told(images, what, capsys):
    with unprivileged() as root:
        if what == "zip":
            locked = forms.write_zip(root / archive.ZIP, images)
        elif what == "root":
            locked = forms.write_zip(root / archive.ZIP, images).parent
        else:
            forms.write_folder(root / "faces", images)
            locked = root / "faces" / (next(iter(images)) if what == "image" else "test/sad")
        locked.chmod(0o500 if what == "root" else 0)
        with pytest.raises(SystemExit), errors.reported():
            prepare.prepare(root, last="unpack")
        said = capsys.readouterr().err
        assert "expected the permission to read and write at" in said
        assert str(locked) in said
        assert "Permission denied" in said
        assert said.count("\n") == 1
        assert not (root / archive.FOLDER).exists()
        locked.chmod(0o700)
        prepare.prepare(root, last="unpack")
        assert forms.contents(root / archive.FOLDER) == images


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are not Unix's")
def test_a_read_only_source_is_enough(images, capsys):
    with unprivileged() as folder:
        source = forms.write_folder(folder / "in", images)
        for path in (source, *source.rglob("*")):
            path.chmod(0o500 if path.is_dir() else 0o400)
        prepare.prepare(folder / "out", last="unpack", selection=Selection(source=source))
        assert forms.contents(folder / "out" / archive.FOLDER) == images


def test_a_read_only_disk_is_told(tmp_path, images, monkeypatch, capsys):
    forms.write_zip(tmp_path / archive.ZIP, images)
    plain = Path.open

    def refusing(self, mode="r", *arguments, **options):
        if "w" in mode:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        return plain(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", refusing)
    with pytest.raises(SystemExit), errors.reported():
        prepare.prepare(tmp_path)
    said = capsys.readouterr().err
    assert f"a disk that can be written to at {tmp_path}" in said
    assert "source for the images" in said


def test_other_failures_of_the_system_stay_what_they_are():
    with pytest.raises(ConnectionError), errors.reported():
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    with pytest.raises(UserError), errors.disk_refusals():
        raise PermissionError(errno.EACCES, "Permission denied", "x")
