"""Images that no detector sees: all of them, or those that the source's boxes cut out."""

from pathlib import Path

import pytest

from faceemo.analysis.labels import label_search
from faceemo.data.ledger import ledger
from faceemo.data.measure import face_detector
from faceemo.data.prepare import folders, prepare, record
from faceemo.data.source.selection import Selection
from tests.data.source.sets.test_expw import LABELS, make_set
from tests.support.data import forms
from tests.support.data.planted import (
    NUM_DECODABLE,
    PLANTED,
    RULES,
    list_images,
    read_results,
    write_zip,
)


@pytest.fixture
def no_detector(monkeypatch):
    """A detector that cannot be loaded, as without a network."""
    monkeypatch.setattr(face_detector, "Detector", lambda **_: pytest.fail("it is not needed"))


@pytest.mark.usefixtures("no_detector", "no_pictures")
def test_without_screening_every_image_that_can_be_decoded_counts_as_a_face(tmp_path):
    root = write_zip(tmp_path)
    prepare.prepare(root, RULES, screen="no")
    rows = ledger.read(root)
    assert {row.path for row in rows if not row.has_face} == {
        path for path, (_, fate) in PLANTED.items() if fate == ledger.UNREADABLE
    }
    assert {row.face_confidence for row in rows} == {None}
    fates = {row.path: row.fate for row in rows}
    assert fates["test/sad/70.png"] == ledger.KEPT
    assert fates["train/happy/70.png"] == ledger.DUPLICATE  # of 30.png
    planted = {path: fate for path, (_, fate) in PLANTED.items() if fate != ledger.NO_FACE}
    assert {path: fate for path, fate in fates.items() if path in planted} == planted
    label_search.leave_out(root, 0.0)  # prepares again, without the detector
    assert {row.path: row.fate for row in ledger.read(root)} == fates
    # nobody needs copies of all images once more
    assert not list_images(root / folders.SCREENED)


@pytest.mark.usefixtures("no_pictures")
def test_screening_may_be_switched_on_and_off(tmp_path, detector, capsys):
    root, other = write_zip(tmp_path / "one"), write_zip(tmp_path / "other")
    prepare.prepare(root, RULES, screen="no")
    unseen = read_results(root)
    assert "no detector has seen them" in capsys.readouterr().out
    prepare.prepare(root, RULES)
    assert detector.num_images == NUM_DECODABLE
    prepare.prepare(other, RULES)
    assert read_results(root) == read_results(other)
    prepare.prepare(other, RULES, screen="no")  # leaves no face of the first preparation
    assert read_results(other) == unseen
    assert record.Record(root).find_changes(Selection(), RULES, "no") == {"screen": ("yes", "no")}
    assert record.Record(root).find_changes(Selection(), RULES, "yes") == {}


@pytest.mark.usefixtures("no_pictures")
def test_images_that_boxes_cut_out_count_as_faces(tmp_path, detector, capsys):
    """ExpW's boxes are the annotators'; the other source has none."""
    forms.write_folder(tmp_path / "expw", make_set(28))
    own = {f"angry/{n}.png": PLANTED[f"train/happy/{n}.png"][0] for n in (10, 20, 70)}
    forms.write_folder(tmp_path / "own", own)
    selection = Selection(source=tmp_path / "expw", classes=LABELS)
    prepare.prepare(tmp_path / "data", RULES, selection=selection, screen="boxes")
    assert detector.num_images == 0
    assert "56 of 56 images were cut out by boxes" in capsys.readouterr().out
    assert all(row.has_face for row in ledger.read(tmp_path / "data"))
    joined = f"{tmp_path / 'expw'}+{tmp_path / 'own'}"
    selection = Selection(source=Path(joined), classes=LABELS)
    prepare.prepare(tmp_path / "both", RULES, selection=selection, screen="boxes")
    assert detector.num_images == 3
    seen = [row for row in ledger.read(tmp_path / "both") if row.face_confidence is not None]
    assert [row.has_face for row in seen] == [True, True, False]
