"""Prediction, explanation and export without the packages of any extra; what training says then."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from tests.support import finished
from tests.support.data.faces import face
from tests.support.places import CONFIGS, REPOSITORY

pytestmark = pytest.mark.slow

# Takes seconds or gigabytes, and predicting on an image needs none of it.
NEEDLESS = (
    *("cleanlab", "clu", "grain", "h5py", "imagehash", "sklearn", "tensorboard", "tensorflow"),
    *("tensorflow_datasets", "keras", "onnx", "pandas", "fastapi", "jinja2", "matplotlib"),
    *("orbax.checkpoint", "scipy.special", "scipy.stats"),
)
PREDICT = """
import sys, faceemo
assert not {"jax", "numpy"} & set(sys.modules)
(prediction,) = faceemo.load().predict(sys.argv[1])
assert prediction.box
print(*(name for name in sys.argv[2:] if name in sys.modules))
"""
# Runs commands as on a machine without the extras, and prints the exit code of each.
WITHOUT_EXTRAS = """
import json, runpy, sys
from importlib.machinery import PathFinder
from faceemo.errors import EXTRAS

absent = {name for extra in EXTRAS.values() for name in extra.packages} | {"pandas"}

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in absent:
            return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
for module, *arguments in json.loads(sys.argv[1]):
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        print("exit", end.code, flush=True)
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(face(1, 240)).save(path)
    return path


def run(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return process


def test_prediction_imports_nothing_that_it_does_not_need(photo):
    assert run(PREDICT, photo, *NEEDLESS).stdout.split() == []


@pytest.mark.slow(seconds=30)
def test_all_but_training_works_without_extras(photo, tmp_path):
    folder = tmp_path / "run"
    finished.write(folder)
    faces = tmp_path / "faces"
    for place in (faces / label / f"{number}.png" for label in "ab" for number in range(9)):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(photo.read_bytes())
    command = "faceemo"
    exports = {form: tmp_path / f"model.{form}" for form in ("stablehlo", "npz", "keras", "onnx")}
    exports["keras"] = exports["keras"].with_suffix(".h5")
    commands = [
        [command, "predict", "builtin", photo],
        [command, "predict", folder, photo, "--crops"],
        [command, "explain", "builtin", photo, "--out", tmp_path / "explained"],
        *(
            [command, "export", folder, "--format", form, "--out", out, "--faces", photo]
            for form, out in exports.items()
        ),
        ["faceemo.main", "--config", f"{CONFIGS / 'vgg16.py'}:7", "--workdir", tmp_path / "new"],
        [command, "train", faces, "--workdir", tmp_path / "new"],
    ]
    process = run(WITHOUT_EXTRAS, json.dumps(commands, default=str))
    codes = [line for line in process.stdout.splitlines() if line.startswith("exit")]
    assert codes == ["exit 0"] * 5 + ["exit 2"] * 4
    assert not [line for line in process.stdout.splitlines() if line.startswith("classes ")]
    assert (tmp_path / "explained" / "photo.png").is_file()
    assert [form for form, out in exports.items() if out.exists()] == ["stablehlo", "npz"]
    errors = [line for line in process.stderr.splitlines() if "error:" in line]
    for line, (purpose, missing, extra) in zip(
        errors,
        [
            ("export to Keras and TFLite", "keras, tensorflow", "keras"),
            ("export to ONNX", "onnx, onnxruntime", "onnx"),
            *[("training", "array_record, cleanlab, clu, grain, h5py, ImageHash", "train")] * 2,
        ],
        strict=True,
    ):
        assert f"expected the packages for {purpose}; found no {missing}" in line
        assert f"Fix: in a checkout of faceemo, pip install '.[{extra}]'" in line
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "new").exists()
