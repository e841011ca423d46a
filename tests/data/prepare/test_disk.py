"""Checks that kills, full disks and missing permissions give one message and no partial results."""

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
    return forms.decodable(images)


MAKE_SOURCE = (
    lambda root, images: forms.write_zip(root / archive.ZIP, images),
    lambda root, images: forms.write_folder(root / "images", forms.without(images, "validation")),
    lambda root, images: forms.write_folder(
        root, {"fer2013.csv": forms.make_csv(renumber(images)).encode()}
    ),
)


def renumber(images):
    """Renames images by consecutive row numbers, which give a short csv."""
    numbered = enumerate(sorted(images.items()))
    return {f"{path.rpartition('/')[0]}/{n}.jpg": content for n, (path, content) in numbered}


@pytest.mark.slow
def test_unpacking_killed_at_random_points_is_repaired_by_the_next_run(tmp_path, images):
    expected, changes = [], []
    for kind, make in enumerate(MAKE_SOURCE):
        root = tmp_path / f"whole{kind}"
        make(root, images)
        line, _ = killed.run("unpack", [(root, killed.NEVER)])
        changes.append(int(line.split()[-1]))
        expected.append(forms.read_folder(root / archive.FOLDER))
        assert changes[-1] > len(expected[-1]) > 60
    generator = random.Random(20)
    points = []
    for trial in range(20):
        kind = trial % len(MAKE_SOURCE)
        root = tmp_path / f"killed{trial}"
        MAKE_SOURCE[kind](root, images)
        points.append((root, generator.randint(1, changes[kind])))
    assert killed.run("unpack", points) == [f"ended {-signal.SIGKILL}"] * 20
    for trial, (root, _) in enumerate(points):
        archive.ensure_originals(root)
        assert forms.read_folder(root / archive.FOLDER) == expected[trial % len(MAKE_SOURCE)]
        assert not [path for path in root.rglob(".*") if path.name != ".lock"]


def fill_disk_after(monkeypatch, writes):
    """Makes the disk full after `writes` files and half of another one."""
    write, left = Path.write_bytes, iter(range(writes))

    def write_bytes(self, content):
        if next(left, None) is None:
            write(self, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


def test_a_full_disk_leaves_no_partial_results(tmp_path, images, capsys):
    forms.write_zip(tmp_path / archive.ZIP, images)
    with pytest.MonkeyPatch.context() as patch:
        fill_disk_after(patch, writes=30)
        with pytest.raises(SystemExit), errors.reported():
            prepare.prepare(tmp_path, last="unpack")
    stderr = capsys.readouterr().err
    assert "expected room on the disk; found No space left on device. Fix: free some" in stderr
    assert stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {archive.ZIP, ".lock"}
    prepare.prepare(tmp_path, last="unpack")
    assert forms.read_folder(tmp_path / archive.FOLDER) == images


@contextlib.contextmanager
def unprivileged():
    """Acts as a user to whom permissions apply, not as root; yields a folder of that user."""
    folder = Path(tempfile.mkdtemp(prefix="faceemo_test_"))
    try:
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, 65534, 65534)
        try:
            os.seteuid(65534)
        except OSError:
            pytest.skip("root, to whom permissions do not apply, cannot become another user here")
        try:
            yield folder
        finally:
            os.seteuid(0)
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700)
        shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are not Unix's")
@pytest.mark.parametrize("kind", ["zip", "image", "folder", "root"])
def test_missing_permissions_are_reported_with_the_path(images, kind, capsys):
    with unprivileged() as root:
        if kind == "zip":
            locked = forms.write_zip(root / archive.ZIP, images)
        elif kind == "root":
            locked = forms.write_zip(root / archive.ZIP, images).parent
        else:
            forms.write_folder(root / "faces", images)
            locked = root / "faces" / (next(iter(images)) if kind == "image" else "test/sad")
        locked.chmod(0o500 if kind == "root" else 0)
        with pytest.raises(SystemExit), errors.reported():
            prepare.prepare(root, last="unpack")
        stderr = capsys.readouterr().err
        assert "expected the permission to read and write at" in stderr
        assert str(locked) in stderr
        assert "Permission denied" in stderr
        assert stderr.count("\n") == 1
        assert not (root / archive.FOLDER).exists()
        locked.chmod(0o700)
        prepare.prepare(root, last="unpack")
        assert forms.read_folder(root / archive.FOLDER) == images


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are not Unix's")
def test_a_source_may_be_read_only(images, capsys):
    with unprivileged() as folder:
        source = forms.write_folder(folder / "in", images)
        for path in (source, *source.rglob("*")):
            path.chmod(0o500 if path.is_dir() else 0o400)
        prepare.prepare(folder / "out", last="unpack", selection=Selection(source=source))
        assert forms.read_folder(folder / "out" / archive.FOLDER) == images


def test_a_read_only_disk_is_reported(tmp_path, images, monkeypatch, capsys):
    forms.write_zip(tmp_path / archive.ZIP, images)
    real_open = Path.open

    def open_read_only(self, mode="r", *arguments, **options):
        if "w" in mode:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        return real_open(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_read_only)
    with pytest.raises(SystemExit), errors.reported():
        prepare.prepare(tmp_path)
    stderr = capsys.readouterr().err
    assert f"a disk that can be written to at {tmp_path}" in stderr
    assert "source for the images" in stderr


def test_other_system_errors_are_not_translated():
    with pytest.raises(ConnectionError), errors.reported():
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    with pytest.raises(UserError), errors.disk_refusals():
        raise PermissionError(errno.EACCES, "Permission denied", "x")
