"""Checks that a preparation draws its pictures, and the same ones for the same seed."""

import numpy as np
import pytest
from PIL import Image

from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.prepare import pictures, prepare
from faceemo.data.source import archive
from tests.support.data import forms
from tests.support.data.planted import NUM_DECODABLE, PLANTED, write_zip
from tests.support.data.rows import row

pytestmark = pytest.mark.slow


def test_pictures_are_large_not_blank_and_drawn_again_if_deleted(tmp_path, detector):
    root = write_zip(tmp_path / "root")
    prepare.prepare(root)
    folder = root / prepare.PICTURES
    drawn = {"faces.png", "kept_and_left_out.png", "conflicting_labels.png", "leaks.png"}
    assert {path.name for path in folder.iterdir()} == drawn
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert image.width > 900
            assert len(np.unique(np.asarray(image.convert("L")))) > 50
    (folder / "faces.png").unlink()
    prepare.prepare(root)
    assert {path.name for path in folder.iterdir()} == drawn
    assert detector.num_images == NUM_DECODABLE


def test_samples_are_the_same_for_the_same_seed(prepared, tmp_path):
    images = archive.hash_images(prepared / archive.FOLDER)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        pictures.draw_samples(prepared / archive.FOLDER, images, seed, tmp_path / f"{name}.png")
    a, b, c = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_every_fate_has_its_colour_and_words():
    assert set(pictures.FATES) == set(ledger.FATES)
    assert len(set(pictures.FATES.values())) == len(ledger.FATES)


@pytest.mark.parametrize("kept", [0, 40, 4000])
def test_the_words_beside_the_bars_end_within_the_picture(kept, tmp_path, monkeypatch):
    fates = [fate for fate in pictures.FATES if fate != ledger.KEPT] + [ledger.KEPT] * kept
    rows = [row(f"train/happy/{n}.jpg", fate=fate) for n, fate in enumerate(fates)]
    figures = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: figures.append(figure))
    pictures.draw_fates(tmp_path, rows, tmp_path / "a.png")
    texts = [*figures[0].texts, *(text for axes in figures[0].axes for text in axes.texts)]
    assert any("suspect label 1" in text.get_text() for text in texts)
    assert all(text.get_window_extent().x1 <= figures[0].bbox.x1 for text in texts)


@pytest.mark.parametrize(("policy", "groups"), [("original", 1), ("strict", 2)])
def test_conflicts_are_drawn_by_the_groups_that_decided_them(policy, groups, tmp_path, monkeypatch):
    """Near duplicates may share no hash, and equal hashes may lie in two near groups."""
    duplicate_group = "hash" if policy == "original" else None
    rows = [
        row(
            f"train/{label}/{number}.jpg",
            fate=ledger.CONFLICT,
            duplicate_group=duplicate_group,
            near_group=centre,
        )
        for number, (label, centre) in enumerate(
            (("happy", "one"), ("sad", "one"), ("sad", "other"), ("happy", "other"))
        )
    ]
    for one in rows:
        path = tmp_path / archive.FOLDER / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()  # drawn black
    panels = []
    monkeypatch.setattr(pictures.Sheet, "add_panel", lambda sheet, *place: panels.append(place))
    pictures.draw_conflicts(tmp_path, rows, Rules(policy=policy), tmp_path / "a.png")
    assert len(panels) == groups


@pytest.mark.parametrize("damaged", ["train/happy", "/sad", "/"])
def test_classes_without_a_readable_image_are_prepared_and_drawn(
    tmp_path, detector, damaged, capsys
):
    """The same damaged file lies in every split."""
    files = {path: b"" if damaged in path else content for path, (content, _) in PLANTED.items()}
    forms.write_zip(tmp_path / "x.zip", files)
    prepare.prepare(tmp_path)
    printed = capsys.readouterr().out
    assert len(list((tmp_path / prepare.PICTURES).iterdir())) == 4
    assert "is missing" not in printed
    label = "happy" if damaged == "train/happy" else "sad"
    count = sum(damaged in path and path.split("/")[1] == label for path in files)
    of = sum(path.split("/")[1] == label for path in files)
    assert f"  {count} of {of} files of {label} cannot be read: {count} not an image" in printed
    train = sum(path.startswith(f"train/{label}/") for path in files)
    assert f"no image is kept of all {train} of {label} in train: {train} unreadable" in printed


def test_a_picture_that_cannot_be_drawn_stops_nothing(
    tmp_path, detector, no_pictures, monkeypatch, capsys
):
    def fail(*_):
        raise RuntimeError("no fonts")

    monkeypatch.setitem(prepare._PICTURES["screen"], "faces.png", fail)
    prepare.prepare(write_zip(tmp_path / "root"))
    assert "faces.png is missing (RuntimeError: no fonts)" in capsys.readouterr().out
    assert list((tmp_path / "root" / "unique_images").rglob("*.png"))
