"""Exported files in their own runtimes, without faceemo; the gate that keeps wrong ones out."""

import dataclasses
import hashlib
import importlib.util
import json
import subprocess
import sys
import types

import numpy as np
import pytest
from flax import traverse_util
from PIL import Image

from faceemo.config import ARCHS
from faceemo.errors import UserError
from faceemo.inference import cli
from faceemo.inference.export import keras_file
from faceemo.inference.export.export import FORMATS, TOLERANCE, _faces, export
from faceemo.inference.predictor import load
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support.data.faces import face
from tests.support.inference import networks

pytestmark = pytest.mark.slow

# What a user without faceemo writes; MODEL, FACES and ANSWERS are files.
ALONE = {
    "stablehlo": """
import jax, jax.export
model = jax.export.deserialize(bytearray(open(MODEL, "rb").read()))
answers = model.call(faces)
""",
    "keras": """
import keras
answers = keras.models.load_model(MODEL)(faces[..., None])
trunk = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))
trunk.load_weights(MODEL, by_name=True)
weights = {f"{layer.name}/{weight.name}": np.asarray(weight)
           for layer in trunk.layers for weight in layer.weights}
np.savez(ANSWERS + ".trunk.npz", **weights)
""",
    "tflite": """
import tensorflow as tf
model = tf.lite.Interpreter(MODEL)
place = model.get_input_details()[0]["index"]
model.resize_tensor_input(place, (*faces.shape, 1))
model.allocate_tensors()
model.set_tensor(place, faces[..., None])
model.invoke()
answers = model.get_tensor(model.get_output_details()[0]["index"])
""",
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(MODEL)
(answers,) = session.run(None, {session.get_inputs()[0].name: faces})
""",
}


@pytest.fixture(scope="module")
def faces():
    """Crops, uint8 [N, S, S], as the network is shown them."""
    return np.stack([face(n) for n in range(5)])


@pytest.fixture(scope="module")
def photos(faces, tmp_path_factory):
    """They as files."""
    folder = tmp_path_factory.mktemp("photos")
    for n, pixels in enumerate(faces):
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return folder


@pytest.mark.parametrize("form", FORMATS)
def test_files_answer_as_the_run_does(network, photos, faces, answering, form, tmp_path, capsys):
    if form == "onnx" and not importlib.util.find_spec("jax2onnx"):
        pytest.skip("jax2onnx is not installed; scripts/test.sh installs it")
    out = tmp_path / f"model{FORMATS[form].suffix}"
    arguments = [str(network), "--format", form, "--out", str(out), "--faces", str(photos)]
    assert cli.main(["export", *arguments]) == 0
    assert str(out) in capsys.readouterr().out
    about = json.loads((tmp_path / f"{out.name}.json").read_text())
    assert about["classes"] == ["happy", "neutral", "sad", "surprise"]
    assert about["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    wanted = answering.probabilities(faces)
    assert np.ptp(wanted, axis=0).min() > 0.01  # faces must differ for this to mean anything
    if form == "npz":
        np.testing.assert_array_equal(load(out).probabilities(faces), wanted)
        return
    np.save(tmp_path / "faces.npy", faces)
    program = f"""
import numpy as np
MODEL, ANSWERS = {str(out)!r}, {str(tmp_path / "answers.npy")!r}
faces = np.load({str(tmp_path / "faces.npy")!r})
{ALONE[form]}
np.save(ANSWERS, np.asarray(answers))
import sys
import types
assert not any(name.startswith("faceemo") for name in sys.modules)
"""
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), wanted, atol=2e-5)
    if form == "keras":
        variables = answering.trained.variables
        leaves = [
            traverse_util.flatten_dict(variables[part]["backbone"], sep="/") for part in variables
        ]
        wanted = leaves[0] | leaves[1]
        with np.load(tmp_path / "answers.npy.trunk.npz") as taken:
            assert taken.keys() == wanted.keys()
            assert all(np.array_equal(taken[name], value) for name, value in wanted.items())


def test_a_file_that_answers_otherwise_is_not_written(network, photos, tmp_path, monkeypatch):
    out = tmp_path / "model.npz"
    out.write_text("an older one")
    save = TrainedModel.save

    def save_warmer(trained, path):
        save(dataclasses.replace(trained, temperature=1.01 * trained.temperature), path)

    monkeypatch.setattr(TrainedModel, "save", save_warmer)
    with pytest.raises(UserError, match="nothing was written"):
        export(network, "npz", out, [photos])
    assert out.read_text() == "an older one"
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("form", ["stablehlo", "npz"])
def test_a_run_in_bfloat16_is_exported_in_float32(answering, photos, faces, tmp_path, form):
    run = networks.write(tmp_path, "mobilenet", dtype="bfloat16")
    out = tmp_path / f"out{FORMATS[form].suffix}"
    export(run, form, out, [photos])
    exact, rounded = (one.probabilities(faces) for one in (answering, load(run)))
    assert np.abs(exact - rounded).max() > TOLERANCE
    if form == "stablehlo":
        np.testing.assert_allclose(FORMATS[form].reader(out)(faces), exact, atol=2e-5)
    else:
        np.testing.assert_array_equal(load(out).probabilities(faces), rounded)


def test_what_cannot_be_exported_is_said(network, photos, tmp_path, monkeypatch):
    faces = [photos / "0.png"]
    with pytest.raises(UserError, match=r"ending in \.onnx"):
        export(network, "onnx", tmp_path / "model.pb", faces)
    notes = tmp_path / "notes.txt"
    notes.write_text("no face")
    with pytest.raises(UserError, match="none that can be read"):
        export(network, "stablehlo", tmp_path / "model.stablehlo", [notes])
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(UserError, match="Keras"):
        export(network, "keras", tmp_path / "model.h5", faces)
    assert tuple(FORMATS) == cli.EXPORTS
    assert tuple(keras_file._MAKERS) == ARCHS


def test_the_faces_to_compare_on_come_from_all_over_the_inputs(tmp_path):
    """A dataset's folder is sorted by class, and its first images are of one class."""
    for shade, label in ((50, "happy"), (200, "sad")):
        (tmp_path / label).mkdir()
        for number in range(40):
            Image.new("L", (8, 8), shade).save(tmp_path / label / f"{number}.png")
    looks = types.SimpleNamespace(
        faces=lambda picture, crops: [types.SimpleNamespace(crop=picture.pixels.grey)]
    )
    faces = _faces(looks, [tmp_path])
    assert len(faces) <= 32
    assert np.unique(faces).tolist() == [50, 200]
