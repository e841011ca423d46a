"""Tests of exported files in their own runtimes, without faceemo, and of their verification."""

import dataclasses
import hashlib
import importlib.util
import json
import subprocess
import sys
import types
import warnings
import zipfile

import jax
import jax.export
import numpy as np
import pytest
from flax import traverse_util
from PIL import Image

from faceemo.commands import cli, deploy
from faceemo.config import ARCHS
from faceemo.errors import UserError
from faceemo.inference.export import keras_file
from faceemo.inference.export.comparison_faces import _load_faces
from faceemo.inference.export.export import TOLERANCES, export
from faceemo.inference.export.file_formats import FORMATS
from faceemo.inference.predictor import load
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support.data.faces import face
from tests.support.inference import networks

pytestmark = pytest.mark.slow

# Programs of users without faceemo; MODEL and RESULTS are paths.
PROGRAMS = {
    "stablehlo": """
import jax, jax.export
model = jax.export.deserialize(bytearray(open(MODEL, "rb").read()))
results = model.call(faces)
""",
    "keras": """
import keras
results = keras.models.load_model(MODEL)(faces[..., None])
backbone = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))
backbone.load_weights(MODEL, by_name=True)
weights = {f"{layer.name}/{weight.name}": np.asarray(weight)
           for layer in backbone.layers for weight in layer.weights}
np.savez(RESULTS + ".backbone.npz", **weights)
""",
    "tflite": """
import tensorflow as tf
model = tf.lite.Interpreter(MODEL)
index = model.get_input_details()[0]["index"]
model.resize_tensor_input(index, (*faces.shape, 1))
model.allocate_tensors()
model.set_tensor(index, faces[..., None])
model.invoke()
results = model.get_tensor(model.get_output_details()[0]["index"])
""",
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(MODEL)
(results,) = session.run(["probabilities"], {"faces": faces})
""",
}


def declared(tensor, dtype, shape):
    """Returns a description without its texts, as a file's own; N for a number that is free."""
    sizes = [size if isinstance(size, int) and size > 0 else "N" for size in shape]
    return {"name": tensor, "dtype": np.dtype(dtype).name, "shape": sizes}


def stablehlo_tensors(path):
    model = jax.export.deserialize(bytearray(path.read_bytes()))
    return [declared(None, one.dtype, one.shape) for one in (*model.in_avals, *model.out_avals)]


def onnx_tensors(path):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path)
    dtypes = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
    tensors = (*session.get_inputs(), *session.get_outputs())
    return [declared(one.name, dtypes[one.type], one.shape) for one in tensors]


def tflite_tensors(path):
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = tf.lite.Interpreter(str(path))
    ((inputs, outputs),) = [(one["inputs"], one["outputs"]) for one in signatures(model)]
    (argument,), (result,) = model.get_input_details(), model.get_output_details()
    assert argument["shape_signature"][0] == -1, "it can be resized"
    return [
        declared(name, one["dtype"], one["shape"].tolist())
        for (name,), one in ((inputs, argument), (outputs, result))
    ]


def signatures(model):
    return model.get_signature_list().values()


def keras_tensors(path):
    import keras

    model = keras.models.load_model(path, compile=False)
    (argument,), (result,) = model.inputs, model.outputs
    (output,) = model.output_names
    return [
        declared(argument.name, argument.dtype, argument.shape),
        declared(output, result.dtype, result.shape),
    ]


def npz_tensors(path):
    trained = TrainedModel.load(path)
    side = trained.model.image_size
    return [
        declared(None, "float32", (None, side, side, 3)),
        declared(None, "float32", (None, len(trained.classes))),
    ]


# What the file itself says that it takes and returns.
TENSORS = {
    "stablehlo": stablehlo_tensors,
    "onnx": onnx_tensors,
    "tflite": tflite_tensors,
    "keras": keras_tensors,
    "npz": npz_tensors,
}
# Keys that every description has; a program without faceemo needs them all.
KEYS = {
    *("format", "precision", "sha256", "input", "output", "classes", "image", "crop", "resize"),
    *("detector", "thresholds", "temperature", "preprocessing", "image_size", "best_epoch"),
    *("check", "config", "checked", "calibrated_on", "faceemo"),
}


def strings(value):
    """Returns all texts in a value of JSON."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else []


@pytest.fixture(scope="module")
def faces():
    """Five faces, uint8 [N, S, S]."""
    return np.stack([face(n) for n in range(5)])


@pytest.fixture(scope="module")
def photos(faces, tmp_path_factory):
    """A folder with the faces as files."""
    folder = tmp_path_factory.mktemp("photos")
    for n, pixels in enumerate(faces):
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return folder


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_gives_the_probabilities_of_the_network(
    network, photos, faces, network_predictor, form, tmp_path, capfd
):
    if form == "onnx" and not importlib.util.find_spec("onnxruntime"):
        pytest.skip("onnxruntime is not installed")
    out = tmp_path / f"model{FORMATS[form].suffixes[0]}"
    arguments = [str(network), "--format", form, "--out", str(out), "--faces", str(photos)]
    assert cli.main(["export", *arguments]) == 0
    written = capfd.readouterr()
    assert str(out) in written.out
    assert len(written.out.splitlines()) == 1, "the noise of another program"
    assert written.err == ""
    about = json.loads((tmp_path / f"{out.name}.json").read_text())
    assert about["classes"] == ["happy", "neutral", "sad", "surprise"]
    assert about["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert about.keys() == KEYS
    for described, found in zip((about["input"], about["output"]), TENSORS[form](out), strict=True):
        assert {key: described[key] for key in found} == found
    if form != "npz":
        assert (about["input"]["range"], about["output"]["range"]) == ([0, 255], [0, 1])
    assert not [text for text in strings(about) if "/" in text], "a path"
    assert about["config"]["arch"] == "mobilenet"
    expected = network_predictor.probabilities(faces)
    assert np.ptp(expected, axis=0).min() > 0.01  # otherwise any file would pass
    if form == "npz":
        np.testing.assert_array_equal(load(out).probabilities(faces), expected)
        return
    np.save(tmp_path / "faces.npy", faces)
    program = f"""
import numpy as np
MODEL, RESULTS = {str(out)!r}, {str(tmp_path / "results.npy")!r}
faces = np.load({str(tmp_path / "faces.npy")!r})
{PROGRAMS[form]}
np.save(RESULTS, np.asarray(results))
import sys
assert not any(name.startswith("faceemo") for name in sys.modules)
"""
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    np.testing.assert_allclose(np.load(tmp_path / "results.npy"), expected, atol=2e-5)
    if form == "keras":
        variables = network_predictor.trained.variables
        leaves = [
            traverse_util.flatten_dict(variables[part]["backbone"], sep="/") for part in variables
        ]
        weights = leaves[0] | leaves[1]
        with np.load(tmp_path / "results.npy.backbone.npz") as taken:
            assert taken.keys() == weights.keys()
            assert all(np.array_equal(taken[name], value) for name, value in weights.items())


def test_the_suffix_decides_which_of_keras_formats_is_written(network, tmp_path, faces):
    out = tmp_path / "model.keras"
    export(network, "keras", out)
    assert zipfile.is_zipfile(out)  # HDF5 is none
    assert [one["name"] for one in keras_tensors(out)] == ["faces", "probabilities"]
    expected = load(network).probabilities(faces)
    np.testing.assert_allclose(FORMATS["keras"].load(out)(faces), expected, atol=2e-5)


def test_without_faces_the_file_is_compared_on_drawn_ones(network, tmp_path):
    assert "on 32 drawn faces" in export(network, "npz", tmp_path / "model.npz")
    about = json.loads((tmp_path / "model.npz.json").read_text())
    assert about["checked"]["faces"] == 32


def test_a_file_with_other_probabilities_is_not_written(network, photos, tmp_path, monkeypatch):
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
def test_a_run_in_bfloat16_is_exported_in_float32(network_predictor, photos, faces, tmp_path, form):
    run = networks.write(tmp_path, "mobilenet", dtype="bfloat16")
    out = tmp_path / f"out{FORMATS[form].suffixes[0]}"
    export(run, form, out, [photos])
    exact, rounded = (one.probabilities(faces) for one in (network_predictor, load(run)))
    assert np.abs(exact - rounded).max() > TOLERANCES["float32"]
    if form == "stablehlo":
        np.testing.assert_allclose(FORMATS[form].load(out)(faces), exact, atol=2e-5)
    else:
        np.testing.assert_array_equal(load(out).probabilities(faces), rounded)


def test_an_export_that_cannot_work_is_refused(network, photos, tmp_path, monkeypatch):
    faces = [photos / "0.png"]
    with pytest.raises(UserError, match=r"ending in \.onnx"):
        export(network, "onnx", tmp_path / "model.pb", faces)
    notes = tmp_path / "notes.txt"
    notes.write_text("not an image")
    with pytest.raises(UserError, match=r"ending in \.h5 or \.keras.*name it model\.h5"):
        export(network, "keras", tmp_path / "model.zip", faces)
    with pytest.raises(UserError, match="a format with int8: onnx; found --format tflite"):
        export(network, "tflite", tmp_path / "model.tflite", faces, "int8")
    with pytest.raises(UserError, match="none that can be read"):
        export(network, "stablehlo", tmp_path / "model.stablehlo", [notes])
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(UserError, match="Keras"):
        export(network, "keras", tmp_path / "model.h5", faces)
    assert (*FORMATS, "web") == deploy.EXPORTS
    assert tuple(TOLERANCES) == deploy.PRECISIONS
    assert tuple(keras_file._CONSTRUCTORS) == ARCHS


def test_the_faces_to_compare_on_come_from_all_over_the_inputs(tmp_path):
    """A dataset's folder is sorted by class, so its first images are all of one class."""
    for shade, label in ((50, "happy"), (200, "sad")):
        (tmp_path / label).mkdir()
        for number in range(33):  # every third of all would be 22
            Image.new("L", (8, 8), shade).save(tmp_path / label / f"{number}.png")
    predictor = types.SimpleNamespace(
        finder=types.SimpleNamespace(
            take_whole=lambda pixels: types.SimpleNamespace(crop=pixels.grey)
        )
    )
    faces = _load_faces(predictor, [tmp_path], 32)
    assert len(faces) == 32
    assert np.unique(faces).tolist() == [50, 200]
