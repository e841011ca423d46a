"""The network that comes with faceemo: whole, small, described, and found by its name."""

from pathlib import Path

import numpy as np
import pytest

import faceemo
from faceemo.config import CLASSES
from faceemo.errors import UserError
from faceemo.inference import trained
from faceemo.train.checkpoint import trained_model

FOLDER = Path(trained.__file__).with_name(trained.BUILTIN)


def test_it_is_small_and_says_what_it_is():
    kept = trained_model.load(FOLDER)  # compares every digest
    assert (FOLDER / trained_model.NAME).stat().st_size < 20e6
    card = (FOLDER / "card.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {kept.arch}:")
    for split in ("train", "validation"):
        assert kept.recipe["data"][split] in card
    assert kept.temperature != 1, "fitted on validation"


def test_it_answers_without_a_path():
    predictor = faceemo.load()
    assert predictor.classes == CLASSES
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    answers = predictor.predict(faces, crops=True)
    for answer in answers:
        assert abs(sum(answer.probabilities.values()) - 1) < 1e-5
    assert len({tuple(answer.probabilities.values()) for answer in answers}) == 3


def test_the_name_means_it_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / trained.BUILTIN).mkdir()
    monkeypatch.chdir(tmp_path)
    assert trained.read(Path(trained.BUILTIN)).classes == CLASSES
    with pytest.raises(UserError, match="a folder without either"):
        trained.read(tmp_path / trained.BUILTIN)


def test_what_it_learned_from_is_told_by_its_card_wherever_one_stands(tmp_path, monkeypatch):
    pytest.importorskip("fastapi")
    from faceemo.inference.serve import model_info

    other = tmp_path / trained.BUILTIN
    other.mkdir()
    (other / "summary.json").write_text('{"val_accuracy": 1}')
    (other / "card.md").write_text("Source and licence, as SOURCE.txt beside the images says: mine")
    monkeypatch.chdir(tmp_path)
    name = Path(trained.BUILTIN)
    assert model_info.read_summary(name) == {}
    assert model_info.read_source(name).startswith("FER2013")
    assert model_info.read_summary(other) == {"val_accuracy": 1}
    assert model_info.read_source(other) == "mine"
