"""The heat map inside the network's file is Grad-CAM, which JAX differentiates."""

import jax
import numpy as np
import pytest

from faceemo import models
from faceemo.analysis.saliency import gradcam
from faceemo.config import CLASSES, make_config
from faceemo.inference.export.web import network_graph
from faceemo.inference.predictor import Predictor
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support.data.faces import face

pytestmark = pytest.mark.slow
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def make(arch, fields):
    """A network with random weights."""
    config = make_config(arch, f"0,weights=none,{fields}")
    model = models.build(config)
    rng = np.random.default_rng(3)
    variables = jax.tree.map(
        lambda leaf: np.array(leaf + (leaf.ndim == 1) * rng.normal(size=leaf.shape) / 50, "f"),
        model.init(3),
    )
    recipe = {
        "config": config.to_dict(),
        "classes": list(CLASSES),
        "preprocessing": model.preprocessing.to_dict(),
        "weights": {"source": "none", "sha256": None},
        "data": {"train": "no images", "validation": "no images"},
    }
    return TrainedModel(model, variables, recipe, temperature=0.8, best_epoch=2)


@pytest.mark.parametrize(
    ("arch", "fields"),
    [("mobilenet", "image_size=96,extra_dense=true"), ("vgg16", "image_size=48")],
)
def test_the_heat_is_that_of_jax(arch, fields):
    """VGG16's last map has 3x3 places, of which its pooling leaves out five."""
    trained = make(arch, fields)
    faces = np.stack([face(number) for number in range(4)])
    session = onnxruntime.InferenceSession(network_graph.make_graph(trained).SerializeToString())
    probabilities, heat = session.run(["probabilities", "heat"], {"faces": faces})
    expected = Predictor(trained).probabilities(faces)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    compute = gradcam.make_heat(trained.model, trained.preprocessing, trained.variables, batch=4)
    maps = compute(faces, probabilities.argmax(1))
    assert maps.max() == 1
    peaks = np.maximum(heat.max((1, 2), keepdims=True), 1e-12)
    np.testing.assert_allclose(heat / peaks, maps, atol=1e-3)
