"""Fixtures for fast preparations with a stand-in detector, or with a cache of detections."""

import pytest

from faceemo.data.measure import face_detector
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from tests.support.data import forms, remembering
from tests.support.data.planted import RULES, StandInDetector, stub_pictures, write_zip


@pytest.fixture
def detector(monkeypatch):
    """Replaces the detector by the stand-in, whose count of images is 0."""
    monkeypatch.setattr(StandInDetector, "num_images", 0)
    monkeypatch.setattr(face_detector, "Detector", StandInDetector)
    return StandInDetector


@pytest.fixture
def no_pictures(monkeypatch):
    """Replaces the pictures, which take a second to draw, by empty files."""
    monkeypatch.setattr(prepare, "_PICTURES", prepare._PICTURES)
    stub_pictures()


@pytest.fixture
def prepared(tmp_path, detector, no_pictures):
    """The root of a preparation of the planted images."""
    root = write_zip(tmp_path / "root")
    prepare.prepare(root, RULES)
    return root


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """The files of a drawn sample: {'train/happy/7.jpg': content}."""
    return forms.draw_images(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def usual_fates(images, tmp_path_factory):
    """The fates of these images when they are prepared from a zip of the usual layout."""
    root = tmp_path_factory.mktemp("usual")
    forms.write_zip(root / archive.ZIP, forms.below(images, archive.FOLDER))
    with remembering.caching_detector():
        prepare.prepare(root)
    return remembering.read_fates(root)


@pytest.fixture(scope="module")
def caching_detector():
    """Replaces the detector by one with a cache; no pictures are drawn."""
    with remembering.caching_detector():
        yield
