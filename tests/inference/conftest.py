"""Fixtures: networks without training, photos and a film."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

import faceemo
from faceemo.config import CLASSES, make_config
from faceemo.inference import explain, predict_files
from faceemo.inference.predictor import Predictor
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support.data.faces import face
from tests.support.inference import films, networks
from tests.support.train.tiny import GREY, SIZE, make_model


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """The file of a MobileNet with random weights whose predictions differ between faces."""
    return networks.write(tmp_path_factory.mktemp("network"), "mobilenet")


@pytest.fixture(scope="session")
def network_predictor(network):
    """The predictor of that MobileNet."""
    return faceemo.load(network)


@pytest.fixture(scope="session")
def predictor():
    """A predictor with a hundred parameters, for tests that do not depend on the network."""
    model: Any = make_model()
    # Grad-CAM needs a last convolution: the pooled image stands for its output.
    model.last_map = lambda params, stats, x: x.reshape(len(x), 2, SIZE // 2, 2, SIZE // 2, 3).mean(
        (2, 4)
    )
    model.logits_from_map = lambda params, last_map: model.apply(params, {}, last_map)[0]
    return Predictor(
        TrainedModel(
            model=model,
            variables=model.init(0),
            recipe={
                "config": make_config("vgg16", "7,weights=none").to_dict(),
                "classes": list(CLASSES),
                "preprocessing": GREY.to_dict(),
                "weights": {"source": "none", "sha256": None},
                "data": {"train": "no images", "validation": "no images"},
            },
            temperature=0.2,
            best_epoch=1,
        )
    )


@pytest.fixture
def photos(tmp_path):
    """A folder of photos: two faces, a crop, no face; and a file that is no image."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    pair = np.full((300, 600), 128, np.uint8)
    pair[60:220, 40:200], pair[80:230, 380:530] = face(0, 160), face(1, 150)
    Image.fromarray(pair).save(folder / "a pair.png")
    Image.fromarray(face(2)).save(folder / "more" / "crop.png")
    Image.fromarray(np.full((90, 120), 50, np.uint8)).save(folder / "wall.png")
    (folder / "broken.jpg").write_bytes(b"not an image")
    return folder


@pytest.fixture
def film(tmp_path):
    """A video of forty frames: a face that moves to the right."""
    return films.write(tmp_path / "film.mp4")


@pytest.fixture
def with_small_predictor(predictor, monkeypatch):
    """Makes the commands predict with the small network, whatever run they are given."""
    for module in (predict_files, explain):
        monkeypatch.setattr(module, "load", lambda _, **options: predictor)
