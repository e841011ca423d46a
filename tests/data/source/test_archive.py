"""Unpacking against zipfile; a folder of the user's own is never touched."""

import shutil
import zipfile

import pytest

from faceemo.config import SPLITS
from faceemo.data.source import archive
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.good_zip import GOOD, ONE, without_top, write_zip


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("change", [dict, without_top])
def test_unpacking_gives_the_same_bytes(tmp_path, change, method):
    root = write_zip(tmp_path, change(GOOD), method)
    found = archive.ensure_originals(root)
    assert found.unpacked
    assert forms.read_folder(found.folder) == without_top(GOOD)
    assert list(found.images) == sorted(without_top(GOOD))
    assert {path.name for path in root.iterdir()} == {archive.ZIP, archive.FOLDER}


def test_a_missing_source_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=f"put the zip at .*{archive.ZIP}"):
        archive.ensure_originals(tmp_path)
    with pytest.raises(UserError, match="put the zip at"):
        archive.ensure_originals(tmp_path / "nowhere")


def test_the_users_own_folder_is_used_as_it_is(tmp_path):
    folder = archive.ensure_originals(write_zip(tmp_path, GOOD)).folder
    (tmp_path / archive.ZIP).unlink()
    (folder / "train/happy/99.png").write_bytes(b"mine")
    found = archive.ensure_originals(tmp_path)
    assert not found.unpacked
    assert "train/happy/99.png" in found.images
    shutil.rmtree(folder / "test/sad")
    with pytest.raises(UserError, match="no image in 'test/sad'"):
        archive.ensure_originals(tmp_path)
    (folder / "test/sad").mkdir()
    with pytest.raises(UserError, match="no image in 'test/sad'"):
        archive.ensure_originals(tmp_path)


def test_the_users_own_folder_may_consist_of_links(tmp_path):
    elsewhere = archive.ensure_originals(write_zip(tmp_path / "a", GOOD)).folder
    (tmp_path / "b" / archive.FOLDER).mkdir(parents=True)
    for split in SPLITS:
        (tmp_path / "b" / archive.FOLDER / split).symlink_to(elsewhere / split)
    assert (
        archive.ensure_originals(tmp_path / "b").images
        == archive.ensure_originals(tmp_path / "a").images
    )


def test_an_unpacked_folder_and_its_zip_agree(tmp_path):
    first = archive.ensure_originals(write_zip(tmp_path, GOOD))
    again = archive.ensure_originals(tmp_path)
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
    first = archive.ensure_originals(write_zip(tmp_path, GOOD))
    change(first.folder)
    before = forms.read_folder(first.folder)
    with pytest.raises(UserError, match="1 differ or are on one side only: 'train/happy"):
        archive.ensure_originals(tmp_path, first.fingerprint if recorded else None)
    assert forms.read_folder(first.folder) == before


def test_a_new_zip_replaces_only_an_unpacked_folder(tmp_path):
    first = archive.ensure_originals(write_zip(tmp_path, GOOD))
    changed = GOOD | {ONE: b"new"}
    write_zip(tmp_path, changed)
    with pytest.raises(UserError, match="1 differ"):
        archive.ensure_originals(tmp_path)  # without a record the folder may be the user's
    second = archive.ensure_originals(tmp_path, first.fingerprint)
    assert second.unpacked
    assert forms.read_folder(second.folder) == without_top(changed)
    assert {path.name for path in tmp_path.iterdir()} == {archive.ZIP, archive.FOLDER}


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    partial = tmp_path / f".{archive.FOLDER}.partial" / "train/happy"
    partial.mkdir(parents=True)
    (partial / "7.jpg").write_bytes(b"half")
    found = archive.ensure_originals(write_zip(tmp_path, GOOD))
    assert forms.read_folder(found.folder) == without_top(GOOD)
    assert {path.name for path in tmp_path.iterdir()} == {archive.ZIP, archive.FOLDER}


def test_a_full_disk_is_reported_before_writing(tmp_path, monkeypatch):
    root = write_zip(tmp_path, GOOD)
    usage = type(shutil.disk_usage(tmp_path))(total=10**9, used=10**9 - 100, free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="free disk"):
        archive.ensure_originals(root)
