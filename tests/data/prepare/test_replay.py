"""Checks that other rules are applied from the ledger alone, and can be undone."""

import dataclasses

from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import measure
from faceemo.data.prepare import folders, measurements, prepare
from tests.support.data.planted import (
    NUM_DECODABLE,
    PLANTED,
    RULES,
    list_images,
    make_image,
    read_results,
    write_zip,
)


def refuse_to_decode(*_):
    raise AssertionError("an image was decoded")


def test_other_rules_need_no_pixels_and_can_be_undone(prepared, detector, monkeypatch):
    before = read_results(prepared)
    monkeypatch.setattr(measure, "decode", refuse_to_decode)
    monkeypatch.setattr(measurements, "read_grey", refuse_to_decode)
    (prepared / measure.NAME).unlink()  # not needed either
    prepare.prepare(prepared, Rules(policy="original", face_threshold=0.2))
    assert all(row.fate != ledger.NO_FACE for row in ledger.read(prepared))
    assert "train/happy/70.png" not in list_images(prepared / folders.UNIQUE)  # now a duplicate
    prepare.prepare(prepared, Rules(policy="keep"))
    assert list_images(prepared / folders.UNIQUE) == {
        path for path, (_, fate) in PLANTED.items() if fate != ledger.UNREADABLE
    }
    prepare.prepare(prepared, Rules(policy="strict", near_distance=0))
    # images that leak into test are removed from the other splits
    assert "train/happy/20.png" not in list_images(prepared / folders.UNIQUE)
    assert "validation/neutral/10.png" not in list_images(prepared / folders.UNIQUE)
    prepare.prepare(prepared, RULES)
    assert read_results(prepared) == before
    assert detector.num_images == NUM_DECODABLE


def test_exact_screening_measures_images_decided_at_a_smaller_side(prepared, detector, capsys):
    before = read_results(prepared)
    smaller = {row.sha256 for row in ledger.read(prepared) if row.face_side == 96}
    assert 0 < len(smaller) < NUM_DECODABLE
    prepare.prepare(prepared, RULES, exact=True)
    assert f"in {prepared / measure.NAME_EXACT}\n" in capsys.readouterr().out
    assert detector.num_images == NUM_DECODABLE + len(smaller)
    assert {row.face_side for row in ledger.read(prepared)} == {300, None}
    exact = read_results(prepared)
    prepare.prepare(prepared, RULES, exact=True)
    prepare.prepare(prepared, RULES)
    assert read_results(prepared) == before  # no exact measurement remains
    prepare.prepare(prepared, RULES, exact=True)
    assert read_results(prepared) == exact
    assert detector.num_images == NUM_DECODABLE + len(smaller)


def test_a_threshold_beyond_the_cascades_range_recommends_exact(prepared, capsys):
    capsys.readouterr()
    prepare.prepare(prepared, Rules(policy="original", face_threshold=0.4))
    assert "measures all at" not in capsys.readouterr().out
    prepare.prepare(prepared, Rules(policy="original", face_threshold=0.6))
    assert (
        "for thresholds up to 0.5; exact_screening=true measures all at 300"
        in capsys.readouterr().out
    )


def test_results_of_a_search_for_suspect_labels_stay_in_the_ledger(prepared):
    suspect = "train/happy/20.png"
    rows = [
        dataclasses.replace(row, label_score=0.01, predicted_label="sad")
        if row.path == suspect
        else row
        for row in ledger.read(prepared)
    ]
    ledger.write(prepared, rows)
    before = read_results(prepared)
    prepare.prepare(prepared, RULES)
    assert read_results(prepared) == before
    prepare.prepare(prepared, Rules(policy="original", suspect_below=0.1))
    assert suspect not in list_images(prepared / folders.UNIQUE)
    write_zip(prepared, PLANTED | {"train/sad/11.png": (make_image(4321), ledger.KEPT)})
    prepare.prepare(prepared, RULES)
    scores = {row.path: row.label_score for row in ledger.read(prepared)}
    assert scores.pop(suspect) == 0.01
    assert set(scores.values()) == {None}


def test_pictures_of_outdated_results_are_drawn_again(prepared):
    for path in (prepared / prepare.PICTURES).iterdir():
        path.write_text("old")
    prepare.prepare(prepared, RULES)
    assert {path.read_text() for path in (prepared / prepare.PICTURES).iterdir()} == {"old"}
    prepare.prepare(prepared, Rules(policy="original", face_threshold=0.2))
    assert {path.read_text() for path in (prepared / prepare.PICTURES).iterdir()} == {""}
