"""The examples, which need no faceemo, print what `faceemo predict` does on drawn photographs."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceemo.commands import cli
from faceemo.inference.export.export import export
from tests.support.data import photographs as drawings
from tests.support.places import REPOSITORY

pytestmark = pytest.mark.slow

EXAMPLES = REPOSITORY / "examples"
# Each program with the format and the suffix of its file, and the photographs that it is tried on.
PROGRAMS = {
    "with_onnxruntime.py": ("onnx", ".onnx", ("pair", "crop", "wall", "large")),
    "with_litert.py": ("tflite", ".tflite", ("pair",)),
    "with_keras.py": ("keras", ".keras", ("pair",)),
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two faces, a crop as small as training images, no face, and a large one with small faces."""
    folder = tmp_path_factory.mktemp("photographs")
    for name, pixels in drawings.draw().items():
        picture = Image.fromarray(pixels)
        exif = picture.getexif()
        if name == "pair":  # stored on its side
            picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
        picture.save(folder / f"{name}.png", exif=exif)
    return folder


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_example_prints_what_faceemo_predicts(network, photographs, program, tmp_path, capsys):
    form, suffix, names = PROGRAMS[program]
    if form == "onnx" and not importlib.util.find_spec("onnxruntime"):
        pytest.skip("onnxruntime is not installed")
    model = tmp_path / f"model{suffix}"
    export(network, form, model)
    paths = [str(photographs / f"{name}.png") for name in names]
    capsys.readouterr()
    assert cli.main(["predict", str(network), *paths, "--format", "jsonl"]) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [one for path in paths for one in run(program, model, path)]
    assert len(found) == len(expected) >= len(paths)
    for one, other in zip(found, expected, strict=True):
        if other["status"] == "no_face":
            assert one == {"status": "no_face"}
            continue
        probabilities = one.pop("probabilities")
        assert probabilities == pytest.approx(other["probabilities"], abs=1e-4)
        assert one == {key: other[key] for key in one}
        assert one.keys() >= {"status", "label", "leaning", "box", "face_confidence", "region"}
    if "large" in names:  # 'large' has one face that no tile is needed for
        assert sum(one["name"] == paths[-1] for one in expected) > 1


def run(program, model, photograph):
    """Runs a program in a process of its own; returns the lines that it prints, as values."""
    # The tests' settings of JAX and XLA are not meant for TensorFlow.
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))}
    done = subprocess.run(
        [sys.executable, EXAMPLES / program, model, photograph],
        capture_output=True,
        text=True,
        timeout=300,
        env=variables | {"KERAS_BACKEND": "tensorflow"},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_examples_are_short_and_import_no_faceemo():
    assert {path.name for path in EXAMPLES.glob("with_*.py")} == PROGRAMS.keys()
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text("utf-8")
        if path.name in PROGRAMS:
            assert len(text.splitlines()) <= 40
        for node in ast.walk(ast.parse(text)):
            names = [one.name for one in getattr(node, "names", [])]
            assert not any(
                str(name).startswith("faceemo") for name in (*names, getattr(node, "module", ""))
            )


def test_the_grey_of_the_sidecar_is_pillows():
    """Its formula stands there for programs without Pillow."""
    from faceemo.inference.export import sidecar
    from faceemo.train.checkpoint.trained_model import read

    formula = sidecar.describe(read(Path("builtin")))["image"]["grey"]
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for term in "RGB":
        formula = formula.replace(f" {term}", f" * {term}")
    red, green, blue = np.moveaxis(colours.astype(int), -1, 0)
    grey = eval(formula, {"R": red, "G": green, "B": blue})
    np.testing.assert_array_equal(grey, np.asarray(Image.fromarray(colours).convert("L")))
