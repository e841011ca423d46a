"""The other backbones exported, several in one process; Keras finds each weight by its name.

MobileNet, the smallest, is what test_export.py exports in every format.
"""

import numpy as np
import pytest
from flax import traverse_util
from PIL import Image

import faceemo
from faceemo.config import ARCHS
from faceemo.inference.export.export import FORMATS, export
from faceemo.train.checkpoint.trained_model import read
from tests.support import keras_process
from tests.support.data.faces import face
from tests.support.inference import networks

pytestmark = pytest.mark.slow

MAKERS = {
    "vgg16": "VGG16",
    "resnet50v2": "ResNet50V2",
    "efficientnetb0": "EfficientNetB0",
}
OTHERS = [arch for arch in ARCHS if arch != "mobilenet"]
# What a user of Keras does with the files; arguments: a folder, makers of trunks.
TAKER = """
import sys
import keras, numpy as np
folder, *makers = sys.argv[1:]
for maker in makers:
    keras.utils.clear_session()
    trunk = getattr(keras.applications, maker)(
        include_top=False, weights=None, input_shape=(32, 32, 3))
    trunk.load_weights(f"{folder}/{maker}.h5", by_name=True)
    weights = {f"{layer.name}/{weight.name}": np.asarray(weight)
               for layer in trunk.layers for weight in layer.weights}
    np.savez(f"{folder}/{maker}.npz", **weights)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A network of each backbone, by its name."""
    return {arch: networks.write(tmp_path_factory.mktemp(arch), arch) for arch in OTHERS}


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    """A folder of a .h5 of each, and of the faces that they were asked about."""
    folder = tmp_path_factory.mktemp("exported")
    for seed in range(2):
        Image.fromarray(face(seed)).save(folder / f"{seed}.png")
    for arch, run in runs.items():
        export(run, "keras", folder / f"{MAKERS[arch]}.h5", sorted(folder.glob("*.png")))
    return folder


@pytest.mark.parametrize("arch", OTHERS)
def test_the_faces_that_files_are_compared_on_differ(runs, arch):
    answers = faceemo.load(runs[arch]).probabilities(np.stack([face(0), face(1)]))
    assert np.ptp(answers, axis=0).max() > 1e-3


def test_keras_takes_each_backbone_by_name(runs, exported, tmp_path):
    program = tmp_path / "taker.py"
    program.write_text(TAKER)
    keras_process.run(program, exported, *MAKERS.values())
    for arch, maker in MAKERS.items():
        wanted = {}
        for collection in read(runs[arch]).variables.values():
            wanted |= traverse_util.flatten_dict(collection.get("backbone", {}), sep="/")
        with np.load(exported / f"{maker}.npz") as taken:
            assert taken.keys() == wanted.keys()
            assert all(np.array_equal(taken[name], value) for name, value in wanted.items())


@pytest.mark.parametrize("form", ["keras", "tflite"])
def test_a_further_export_in_one_process_is_like_the_first(runs, exported, form):
    """Keras counts layers that have no name of their own, such as EfficientNetB0's first."""
    out = exported / f"again{FORMATS[form].suffix}"
    message = export(runs["efficientnetb0"], form, out, [exported / "0.png"])
    assert str(out) in message
