"""Exported files name no folder of the machine on which a network trained."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from faceemo.assets import builtin
from faceemo.inference.export import places
from faceemo.inference.export.file_formats import FORMATS
from faceemo.models.weights import npz
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.trained_model import TrainedModel


def test_the_description_names_no_folder_of_the_machine():
    config = {
        "arch": "vgg16",
        "data_dir": "/home/ann/data",
        "source": "C:\\faces.zip",
        "votes": "/home/ann/fer2013new.csv",
        "weights": "/home/ann/weights/a.npz",
        "teacher": "checkpoints/one+C:\\runs\\two+builtin",
    }
    expected = {"arch": "vgg16", "weights": "a.npz", "teacher": "one+two+builtin"}
    assert places.remove_places(config) == expected


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("/home/ann/runs/one/model.npz", "one/model.npz"),
        ("C:\\Users\\ann\\faces.zip", "ann/faces.zip"),
        ("~/faces.zip", "faces.zip"),
        ("/a/one/model.npz+two/model.npz+/b/three/model.npz",
         "one/model.npz+two/model.npz+three/model.npz"),
        ("data/mine", "data/mine"),
        ("happy+sad", "happy+sad"),
        ("", ""),
    ],
)  # fmt: skip
def test_absolute_paths_are_shortened(path, short):
    assert places.shorten_paths({"x": [{"y": path}], "z": 1}) == {"x": [{"y": short}], "z": 1}


def test_an_npz_keeps_the_network_and_loses_the_folders(tmp_path):
    """The recipe of faceemo's own network and of its teachers holds absolute paths."""
    trained = trained_model.read(Path(builtin.FOUR))
    assert re.search('"/', json.dumps(trained.recipe))
    FORMATS["npz"].write(trained, tmp_path / "model.npz")
    about, arrays = npz.unpack(tmp_path / "model.npz")
    assert not re.search('["+]/', json.dumps(about))
    before = npz.unpack(builtin.model_file(builtin.FOUR))[1]
    assert arrays.keys() == before.keys()
    assert all(np.array_equal(arrays[name], before[name]) for name in before)
    loaded = TrainedModel.load(tmp_path / "model.npz")
    assert loaded.recipe["data"] == trained.recipe["data"]
    assert loaded.temperature == trained.temperature
