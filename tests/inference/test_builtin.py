"""Tests of the network that comes with faceemo: whole, small, described, found by its name."""

from pathlib import Path

import jax
import numpy as np
import pytest

import faceemo
from faceemo.assets import builtin
from faceemo.config import CLASSES, make_config
from faceemo.errors import UserError
from faceemo.inference.serve import model_info
from faceemo.train.checkpoint.trained_model import (
    BUILTIN,
    NAME,
    TrainedModel,
    read,
    resolve_builtin,
)
from faceemo.train.start import Start
from tests.support.data.faces import face

FOLDER = resolve_builtin(Path(BUILTIN))
EMOTIONS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")


@pytest.mark.parametrize(
    ("name", "classes", "size"),
    [
        (BUILTIN, EMOTIONS, 13.1e6),
        (builtin.SMALL, EMOTIONS, 1.1e6),
        (builtin.FOUR, CLASSES, 13.1e6),
    ],
)
def test_the_file_is_small_and_its_card_fits(name, classes, size):
    folder = resolve_builtin(Path(name))
    trained = TrainedModel.load(folder)  # compares every digest
    assert trained.classes == classes
    assert trained.config.image_size == builtin.IMAGE_SIZES[name]
    assert (folder / NAME).stat().st_size < size
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {trained.arch}:")
    for split in ("train", "validation"):
        assert trained.recipe["data"][split] in card
    assert trained.temperature != 1, "fitted on validation"


def test_load_without_a_path_predicts_with_it():
    predictor = faceemo.load()
    assert predictor.classes == EMOTIONS
    faces = np.stack([face(seed) for seed in range(3)])
    predictions = predictor.predict(faces, crops=True)
    for one in predictions:
        assert abs(sum(one.probabilities.values()) - 1) < 1e-5
    assert len({tuple(one.probabilities.values()) for one in predictions}) == 3


@pytest.mark.slow
def test_its_backbone_is_a_start_for_other_classes():
    trained = TrainedModel.load(FOLDER)
    config = make_config("mobilenet", "0,image_size=32,weights=builtin,classes=calm+angry")
    start = Start.from_config(config)
    for tree in ("params", "batch_stats"):
        jax.tree.map(
            np.testing.assert_array_equal,
            start.variables[tree]["backbone"],
            trained.variables[tree]["backbone"],
        )
    head = start.variables["params"]["head"]
    assert np.asarray(head["predictions"]["kernel"]).shape == (1024, 2)
    assert start.preprocessing == trained.preprocessing
    assert start.source["source"] == BUILTIN
    assert start.source["trained"]["config"] == trained.recipe["config"], (
        "so that the lineage is known"
    )
    with pytest.raises(UserError, match=r"weights='builtin' .for vgg16 takes"):
        make_config("vgg16", "7,weights=builtin")


@pytest.mark.slow
def test_the_small_one_is_a_start_for_networks_of_its_width():
    trained = read(Path(builtin.SMALL))
    config = make_config("mobilenet", "0,image_size=64,width=0.25,weights=builtin-small")
    start = Start.from_config(config)
    jax.tree.map(
        np.testing.assert_array_equal,
        start.variables["params"]["backbone"],
        trained.variables["params"]["backbone"],
    )
    with pytest.raises(UserError, match=r"width=1.0 \(with weights='builtin-small' takes 0.25;"):
        make_config("mobilenet", "0,weights=builtin-small")


def test_its_name_works_in_any_working_directory(tmp_path, monkeypatch):
    (tmp_path / BUILTIN).mkdir()
    monkeypatch.chdir(tmp_path)
    assert read(Path(BUILTIN)).classes == EMOTIONS
    with pytest.raises(UserError, match="a folder without either"):
        read(tmp_path / BUILTIN)
    (tmp_path / BUILTIN / "train.log").touch()
    with pytest.raises(UserError, match=r"a run that has not finished an epoch.*its train command"):
        read(tmp_path / BUILTIN)


def test_its_mistyped_name_is_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"found nothing .did you mean 'builtin'"):
        read(Path("biultin"))


def test_its_training_data_is_read_from_its_card_in_any_working_directory(tmp_path, monkeypatch):
    other = tmp_path / BUILTIN
    other.mkdir()
    (other / "summary.json").write_text('{"val_accuracy": 1}')
    (other / "card.md").write_text("Source and licence, as SOURCE.txt beside the images says: mine")
    monkeypatch.chdir(tmp_path)
    assert model_info.read_summary(Path(builtin.FOUR)) == {
        "val_accuracy": 0.827, "val_accuracy_interval": [0.817, 0.838], "majority_baseline": 0.372,
    }  # fmt: skip
    name = Path(BUILTIN)
    assert 0.85 < model_info.read_summary(name)["val_accuracy"] < 0.91
    assert model_info.read_source(name).startswith("FER2013")
    assert model_info.read_summary(other) == {"val_accuracy": 1}
    assert model_info.read_source(other) == "mine"
