"""Tests of exports of a narrow MobileNet: each format computes what faceemo does."""

import numpy as np
import pytest

from faceemo.inference.export.export import export
from faceemo.inference.export.file_formats import FORMATS
from faceemo.inference.predictor import load
from tests.support import keras_process
from tests.support.data.faces import face
from tests.support.inference import networks

pytestmark = pytest.mark.slow

# A Keras user's program that predicts, and loads the backbone; arguments: a folder, the width.
PROGRAM = """
import sys
import keras, numpy as np
folder, width = sys.argv[1], float(sys.argv[2])
faces = np.load(f"{folder}/faces.npy")
np.save(f"{folder}/results.npy", keras.models.load_model(f"{folder}/model.h5")(faces[..., None]))
keras.utils.clear_session()
backbone = keras.applications.MobileNet(
    include_top=False, weights=None, input_shape=(32, 32, 3), alpha=width)
backbone.load_weights(f"{folder}/model.h5", by_name=True)
weights = {f"{layer.name}/{weight.name}": np.asarray(weight)
           for layer in backbone.layers for weight in layer.weights}
np.savez(f"{folder}/backbone.npz", **weights)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return networks.write(tmp_path_factory.mktemp("narrow"), "mobilenet", width=0.25)


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"keras"}))
def test_every_format_passes_the_comparison(run, form, tmp_path):
    path = tmp_path / f"model{FORMATS[form].suffixes[0]}"
    export(run, form, path)
    assert path.stat().st_size < 3e6


def test_keras_loads_the_file_and_its_own_narrow_backbone(run, tmp_path):
    export(run, "keras", tmp_path / "model.h5")
    faces = np.stack([face(seed) for seed in range(4)])
    np.save(tmp_path / "faces.npy", faces)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    keras_process.run(program, tmp_path, "0.25")
    predictor = load(run, engine="jax")
    expected = predictor.probabilities(faces)
    assert np.ptp(expected, axis=0).max() > 1e-3, "the faces differ"
    np.testing.assert_allclose(np.load(tmp_path / "results.npy"), expected, atol=1e-4)
    arrays = predictor.trained.variables
    with np.load(tmp_path / "backbone.npz") as backbone:
        assert backbone["conv_pw_13/kernel"].shape == (1, 1, 256, 256)
        np.testing.assert_array_equal(
            backbone["conv_pw_13/kernel"],
            arrays["params"]["backbone"]["conv_pw_13"]["kernel"],
        )


def test_onnxruntime_predicts_what_jax_does(run):
    faces = np.stack([face(seed) for seed in range(4)])
    found, expected = (load(run, engine=one).probabilities(faces) for one in ("onnx", "jax"))
    np.testing.assert_allclose(found, expected, atol=1e-4)
