"""Networks that see colour are exported with their three channels in the right order."""

import importlib.util
import json

import numpy as np
import pytest

from faceemo.errors import UserError
from faceemo.inference.export import drawn
from faceemo.inference.export.export import export
from faceemo.inference.export.file_formats import FORMATS
from faceemo.inference.predictor import load
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support.inference import networks

pytestmark = pytest.mark.slow


@pytest.mark.slow(seconds=50)
@pytest.mark.skipif(not importlib.util.find_spec("onnxruntime"), reason="no onnxruntime")
@pytest.mark.parametrize("arch", ["vgg16", "mobilenet"])
@pytest.mark.usefixtures("narrow_vgg16")
def test_every_format_takes_colour_in_the_order_red_green_blue(tmp_path, arch):
    """VGG16's weights take blue, green, red; the export compares with the network itself."""
    network = networks.write(tmp_path, arch, native_size=40, channels="rgb")
    trained = TrainedModel.load(network)
    predictor = load(network)
    faces = drawn.draw_faces(8, trained.image_format)
    assert faces.shape == (8, 40, 40, 3)
    expected = predictor.probabilities(faces)
    swapped = predictor.probabilities(np.ascontiguousarray(faces[..., ::-1]))
    assert np.abs(expected - swapped).max() > 1e-3, "the order of channels matters"
    for name, form in FORMATS.items():
        out = tmp_path / f"model{form.suffixes[0]}"
        export(network, name, out)
        about = json.loads((tmp_path / f"{out.name}.json").read_text())
        assert "RGB" in about["input"]["about"]
        assert about["input"]["shape"][-1] == 3
        assert about["image"]["channels"] == "RGB"
        assert about["config"]["channels"] == "rgb"
        found = form.load(out)(faces)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_crops_of_the_other_kind_are_refused(tmp_path):
    predictor = load(networks.write(tmp_path, "mobilenet", native_size=40, channels="rgb"))
    with pytest.raises(UserError, match=r"crops of 40x40 RGB pixels, \[N, 40, 40, 3\]"):
        predictor.probabilities(np.zeros((2, 40, 40), np.uint8))
