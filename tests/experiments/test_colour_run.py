"""A run in colour: what is automatic is found once, recorded, kept on resuming, and shown."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.experiments import run
from tests.support.data import tinted

pytestmark = pytest.mark.slow
FIELDS = "0,weights=none,image_size=32,epochs=1,batch_size=8,policy=keep,classes=cold+warm"


def configure(folder, fields):
    config = make_config("mobilenet", f"{FIELDS},{fields}")
    config.update({"source": str(folder / "faces"), "data_dir": str(folder / "data")})
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colour")
    tinted.write_tinted(folder / "faces", {"train": 8, "validation": 4, "test": 2}, side=30)
    run.train(configure(folder, "native_size=0,channels=auto"), folder / "run")
    return folder


def test_the_recipe_has_the_format_that_was_found(folder):
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert (summary["config"]["native_size"], summary["config"]["channels"]) == (30, "rgb")
    (built,) = (folder / "data" / "tfds").iterdir()
    assert built.name.endswith("_30px_rgb")
    card = (folder / "run" / "card.md").read_text()
    assert "in images in colour of one face each" in card
    assert "An RGB image of one face, 30x30 pixels, is resized (bilinear) to 32x32, and then:" in (
        card
    )


def test_the_report_shows_the_images_in_colour(folder):
    page = (folder / "run" / "report" / "validation" / "index.html").read_text()
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))).convert("RGB")).astype(int)
        for uri in re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    ]
    faces = [image for image in shown if image.shape == (30, 30, 3)]
    assert faces
    assert all(abs(image[..., 0].mean() - image[..., 2].mean()) > 15 for image in faces)


def test_the_run_keeps_its_format_and_takes_no_other(folder, capsys):
    with pytest.raises(UserError, match=r"channels='rgb' \(this run: 'grey'\)"):
        run.train(configure(folder, "native_size=30,channels=grey"), folder / "run")
    # a larger source has another median, which a run that is there does not look at
    shutil.copytree(folder / "faces", folder / "larger" / "faces")
    for path in (folder / "larger" / "faces").rglob("*.png"):
        Image.open(path).resize((60, 60)).save(path)
    automatic = configure(folder, "native_size=0,channels=auto")
    automatic.source = str(folder / "larger" / "faces")
    automatic.data_dir = str(folder / "other")
    with pytest.raises(UserError) as refused:
        run.evaluate(automatic, folder / "run", "validation")
    assert "native_size" not in str(refused.value), "only the images are others"
    capsys.readouterr()
    run.evaluate(configure(folder, "native_size=0,channels=auto"), folder / "run", "test")
    out = capsys.readouterr().out
    assert "native_size=30 channels=rgb: as the run that is there has it" in out
