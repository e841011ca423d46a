"""Two ways to prepare in no time: planted pictures and a stand-in, drawn faces and a memory."""

import pytest

from faceemo.data.measure import face_detector
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from tests.support.data import forms, remembering
from tests.support.data.planted import StandIn, draw_nothing, write_zip


@pytest.fixture
def detector(monkeypatch):
    """The stand-in for the detector, which has seen nothing yet."""
    monkeypatch.setattr(StandIn, "seen", 0)
    monkeypatch.setattr(face_detector, "Detector", StandIn)
    return StandIn


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes a second; where it does not matter, an empty file stands in."""
    monkeypatch.setattr(prepare, "_PICTURES", prepare._PICTURES)
    draw_nothing()


@pytest.fixture
def done(tmp_path, detector, no_pictures):
    """A root with the planted pictures, prepared."""
    root = write_zip(tmp_path / "root")
    prepare.prepare(root)
    return root


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """The drawn sample: {'train/happy/7.jpg': content}."""
    return forms.drawn(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def usual(images, tmp_path_factory):
    """What becomes of these images in the usual zip."""
    root = tmp_path_factory.mktemp("usual")
    forms.write_zip(root / archive.ZIP, forms.below(images, archive.FOLDER))
    with remembering.in_place():
        prepare.prepare(root)
    return remembering.fates(root)


@pytest.fixture(scope="module")
def light():
    """The detector with a memory, no pictures."""
    with remembering.in_place():
        yield
