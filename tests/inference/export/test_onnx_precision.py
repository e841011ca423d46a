"""ONNX files in half precision and in 8 bits: how small, how exact, on which faces calibrated."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceemo.assets import builtin
from faceemo.errors import UserError
from faceemo.inference.export import export as exports
from faceemo.inference.export.comparison_faces import choose_faces
from faceemo.inference.export.export import TOLERANCES, export
from faceemo.inference.predictor import load
from tests.support.data.faces import face
from tests.support.inference import networks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime")),
        reason="the extra 'onnx' is not installed",
    ),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A dataset's folder with drawn faces as its training images."""
    folder = tmp_path_factory.mktemp("run")
    train = folder / "unique_images" / "train" / "happy"
    train.mkdir(parents=True)
    for number in range(40):
        Image.fromarray(face(number)).save(train / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def files(images, tmp_path_factory):
    """The file of the network that comes with faceemo, in each precision.

    Random weights would not do: rounding changes their predictions far more than trained ones'.
    """
    folder = tmp_path_factory.mktemp("files")
    paths = {precision: folder / f"{precision}.onnx" for precision in TOLERANCES}
    for precision, path in paths.items():
        export(Path(builtin.NAME), "onnx", path, [images], precision)
    return paths


def run_file(path, images, **settings):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    for name, value in settings.items():
        setattr(options, name, value)
    (probabilities,) = onnxruntime.InferenceSession(path, options).run(None, {"faces": images})
    return probabilities


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.53), ("int8", 0.31)])
def test_files_are_smaller_and_nearly_as_exact(files, precision, share):
    size = {name: path.stat().st_size for name, path in files.items()}
    assert size[precision] < share * size["float32"]
    images = np.stack([face(n) for n in range(100, 110)])
    expected = load(builtin.NAME).probabilities(images)
    differences = np.abs(run_file(files[precision], images) - expected)
    assert np.ptp(expected, axis=0).max() > 2 * TOLERANCES[precision]
    assert 0 < differences.max() <= TOLERANCES[precision]
    about = json.loads(files[precision].with_name(f"{precision}.onnx.json").read_text())
    assert about["precision"] == precision
    assert about["checked"]["tolerance"] == TOLERANCES[precision]
    # every ninth is compared, the others are calibrated on
    assert about["calibrated_on"] == (35 if precision == "int8" else None)
    assert about["checked"]["faces"] == (5 if precision == "int8" else 32)
    assert about["checked"]["largest_difference"] <= TOLERANCES[precision]


def test_integers_are_of_a_range_that_no_processor_saturates(files):
    """Two products of 8 bits by 7 fit into 16 bits; depthwise kernels add in 32."""
    import onnx

    graph = onnx.load(files["int8"]).graph
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    largest = {True: [], False: []}
    exact = []
    for node in graph.node:
        if node.op_type == "Conv":
            if node.input[1] in arrays:
                assert arrays[node.input[1]].dtype == np.float32
                exact.append(node.name)
                continue
            assert makers[node.input[0]].op_type == "DequantizeLinear"
            weight = arrays[makers[node.input[1]].input[0]]
            assert weight.dtype == np.int8
            largest[weight.shape[1] == 1].append(np.abs(weight.astype(int)).max())
    assert exact == ["conv1", "conv_dw_1"]
    assert max(largest[False]) <= 64
    assert min(largest[True]) == 127


def test_integer_kernels_compute_what_the_file_says(files):
    """Without its optimisations onnxruntime computes the same file in float32."""
    import onnxruntime

    images = np.stack([face(n) for n in range(6)])
    plain = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    exact = run_file(files["int8"], images, graph_optimization_level=plain)
    np.testing.assert_allclose(run_file(files["int8"], images), exact, atol=0.02)


def test_a_file_beyond_its_tolerance_is_not_written(network, tmp_path, monkeypatch):
    monkeypatch.setitem(exports.TOLERANCES, "float16", 1e-9)
    with pytest.raises(UserError, match=r"within 1e-09.*nothing was written.*--precision float16"):
        export(network, "onnx", tmp_path / "a.onnx", precision="float16")
    assert list(tmp_path.iterdir()) == []


def test_int8_is_calibrated_on_the_runs_training_images(images, tmp_path):
    predictor = load(networks.write(tmp_path, "mobilenet", data_dir=str(images)))
    compared, calibrated, kind = choose_faces(predictor, [], "int8")
    assert (len(compared), len(calibrated), kind) == (5, 35, "other faces")
    everything = np.concatenate([compared, calibrated])
    assert len(np.unique(everything, axis=0)) == 40
    compared, calibrated, kind = choose_faces(predictor, [], None)
    assert (len(compared), len(calibrated), kind) == (32, 0, "drawn faces")


def test_calibration_needs_enough_faces(network, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where there is no data
    with pytest.raises(UserError, match="no --faces, and no training images in data"):
        export(network, "onnx", tmp_path / "a.onnx", precision="int8")
    few = sorted(images.rglob("*.png"))[:8]
    with pytest.raises(UserError, match=r"at least 32 faces.*found 8"):
        export(network, "onnx", tmp_path / "a.onnx", few, "int8")
    assert list(tmp_path.iterdir()) == []
