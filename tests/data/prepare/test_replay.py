"""Other rules are a replay of the ledger, and so is the way back."""

import dataclasses

from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import measure
from faceemo.data.prepare import folders, prepare
from tests.support.data.planted import LOOKS, PICTURES, names, picture, state, write_zip


def no_pixels(*_):
    raise AssertionError("a pixel was touched")


def test_rules_are_replayed_without_pixels(done, detector, monkeypatch):
    """Any rules from the ledger alone, and back again: an undo is a replay."""
    before = state(done)
    monkeypatch.setattr(measure, "decode", no_pixels)
    monkeypatch.setattr(prepare, "read_grey", no_pixels)
    (done / measure.NAME).unlink()  # not needed either
    prepare.prepare(done, Rules(face_threshold=0.2))
    assert all(row.fate != ledger.NO_FACE for row in ledger.read(done))
    assert "train/happy/70.png" not in names(done / folders.UNIQUE)  # now a duplicate
    prepare.prepare(done, Rules(policy="keep"))
    assert names(done / folders.UNIQUE) == {
        path for path, (_, fate) in PICTURES.items() if fate != ledger.UNREADABLE
    }
    prepare.prepare(done, Rules(policy="strict", near_distance=0))
    # what leaks into test leaves the others
    assert "train/happy/20.png" not in names(done / folders.UNIQUE)
    assert "validation/neutral/10.png" not in names(done / folders.UNIQUE)
    prepare.prepare(done)
    assert state(done) == before
    assert detector.seen == LOOKS


def test_exact_screening_looks_at_what_was_settled_before(done, detector):
    before = state(done)
    settled = {row.sha256 for row in ledger.read(done) if row.face_side == 96}
    assert 0 < len(settled) < LOOKS
    prepare.prepare(done, exact=True)
    assert detector.seen == LOOKS + len(settled)
    assert {row.face_side for row in ledger.read(done)} == {300, None}
    exact = state(done)
    prepare.prepare(done, exact=True)
    prepare.prepare(done)
    assert state(done) == before  # what was exact once does not linger
    prepare.prepare(done, exact=True)
    assert state(done) == exact
    assert detector.seen == LOOKS + len(settled)


def test_a_threshold_beyond_what_was_checked_is_told(done, capsys):
    capsys.readouterr()
    prepare.prepare(done, Rules(face_threshold=0.4))
    assert "--exact" not in capsys.readouterr().out
    prepare.prepare(done, Rules(face_threshold=0.6))
    assert "for thresholds up to 0.5; --exact measures all at 300" in capsys.readouterr().out


def test_what_a_search_for_suspects_wrote_stays(done):
    suspect = "train/happy/20.png"
    rows = [
        dataclasses.replace(row, label_score=0.01, predicted_label="sad")
        if row.path == suspect
        else row
        for row in ledger.read(done)
    ]
    ledger.write(done, rows)
    before = state(done)
    prepare.prepare(done)
    assert state(done) == before
    prepare.prepare(done, Rules(suspect_below=0.1))
    assert suspect not in names(done / folders.UNIQUE)
    write_zip(done, PICTURES | {"train/sad/11.png": (picture(4321), ledger.KEPT)})
    prepare.prepare(done)
    scores = {row.path: row.label_score for row in ledger.read(done)}
    assert scores.pop(suspect) == 0.01
    assert set(scores.values()) == {None}


def test_pictures_of_older_results_do_not_stay(done):
    for path in (done / prepare.PICTURES).iterdir():
        path.write_text("old")
    prepare.prepare(done)
    assert {path.read_text() for path in (done / prepare.PICTURES).iterdir()} == {"old"}
    prepare.prepare(done, Rules(face_threshold=0.2))
    assert {path.read_text() for path in (done / prepare.PICTURES).iterdir()} == {""}
