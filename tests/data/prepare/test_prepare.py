"""Checks the files and the output of one preparation, for images whose fates are known."""

import json

import numpy as np
import pytest

from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import measure
from faceemo.data.prepare import folders, prepare
from faceemo.data.source import archive, source_paths
from tests.support.data.planted import PLANTED, RULES, list_images, read_results, write_zip


def test_every_image_has_its_planted_fate(prepared):
    rows = {row.path: row for row in ledger.read(prepared)}
    assert {path: row.fate for path, row in rows.items()} == {
        path: fate for path, (_, fate) in PLANTED.items()
    }
    assert all(bool(row.reason) == (row.fate != ledger.KEPT) for row in rows.values())


def test_folders_hold_the_images_of_their_fates(prepared):
    def with_fate(*fates):
        return {path for path, (_, fate) in PLANTED.items() if fate in fates}

    high = with_fate(ledger.KEPT, ledger.DUPLICATE, ledger.CONFLICT)
    assert list_images(prepared / archive.FOLDER) == set(PLANTED)
    assert list_images(prepared / folders.SCREENED / folders.HIGH) == high
    assert list_images(prepared / folders.SCREENED / folders.LOW) == with_fate(ledger.NO_FACE)
    assert list_images(prepared / folders.UNIQUE) == with_fate(ledger.KEPT)
    for folder in (archive.FOLDER, f"{folders.SCREENED}/{folders.HIGH}", folders.UNIQUE):
        for path in list_images(prepared / folder):
            assert (prepared / folder / path).read_bytes() == PLANTED[path][0]
    visible = {path.name for path in prepared.iterdir() if path.name != ".lock"}
    assert visible == {
        archive.ZIP, archive.FOLDER, folders.SCREENED, folders.UNIQUE, ledger.NAME, measure.NAME,
        prepare.RECORD, prepare.PICTURES, source_paths.NAME,
    }  # fmt: skip


def test_leaks_are_recorded_before_and_after(prepared):
    leaks = json.loads((prepared / prepare.RECORD).read_text())["dedupe"]["leaks"]

    def nonzero(when):
        return {
            (pair, sameness, label): count
            for pair, by_sameness in leaks[when].items()
            for sameness, by_label in by_sameness.items()
            for label, count in by_label.items()
            if count
        }

    test_leaks = {
        ("test in train", "same bytes", "happy"): 1,
        ("test in train", "same pixels", "happy"): 1,
        ("test in train", "same dHash", "happy"): 1,
        ("test in train", "any of these", "happy"): 1,
        ("test in validation", "same dHash", "neutral"): 1,
        ("test in validation", "near", "neutral"): 1,
        ("test in validation", "any of these", "neutral"): 1,
    }
    assert nonzero("after") == test_leaks
    kinds = ("same bytes", "same pixels", "same dHash", "any of these")
    assert nonzero("before") == test_leaks | {
        ("validation in train", kind, label): 1 for kind in kinds for label in ("happy", "surprise")
    } | {("validation in train", kind, "sad"): 1 for kind in ("same dHash", "near", "any of these")}


def test_the_output_has_counts_fates_and_folders(tmp_path, detector, no_pictures, capsys):
    prepare.prepare(write_zip(tmp_path / "root"), RULES)
    output = capsys.readouterr().out
    assert "  train        here              4         4         4         4        16" in output
    assert "3,914" not in output  # the study's counts are of other images
    assert "leaves the test split: test/sad/70.png (best face confidence 0.250" in output
    assert "screen: 43 kept, 2 no face, 1 unreadable;" in output
    assert "dedupe: 38 kept, 2 no face, 1 unreadable, 3 duplicate, 2 conflict;" in output
    assert output.count("; in ") == 4


def test_stages_run_one_by_one_give_the_same_results(prepared, tmp_path, detector):
    root = write_zip(tmp_path / "steps")
    assert prepare.prepare(root, RULES, last="unpack") == root / archive.FOLDER
    assert not (root / folders.SCREENED).exists()
    assert prepare.prepare(root, RULES, last="screen") == root / folders.SCREENED
    assert not (root / folders.UNIQUE).exists()
    assert prepare.prepare(root, RULES) == root / folders.UNIQUE
    assert read_results(root) == read_results(prepared)


@pytest.mark.parametrize("policy", ["original", "strict"])
def test_results_do_not_depend_on_the_order_of_files_or_on_workers(
    tmp_path, detector, no_pictures, monkeypatch, policy
):
    results = []
    for turn, workers in enumerate((1, 2, 5)):
        monkeypatch.setattr(detector, "workers", workers)
        monkeypatch.setattr(measure, "_BATCH_SIZE", (3, 32, 1)[turn])
        names = np.random.default_rng(turn).permutation(list(PLANTED)).tolist()
        root = write_zip(tmp_path / f"{turn}", {name: PLANTED[name] for name in names})
        prepare.prepare(root, Rules(policy=policy))
        results.append({**read_results(root), measure.NAME: (root / measure.NAME).read_bytes()})
        # the order of files changes the zip and its hash in the record
        del results[-1][archive.ZIP], results[-1][prepare.RECORD]
    assert results[0] == results[1] == results[2]
