"""Tests of the other backbones' export, several in one process, into Keras files.

MobileNet, the smallest, is what test_export.py exports in every format.
"""

import numpy as np
import pytest
from flax import traverse_util
from PIL import Image

import faceemo
from faceemo.config import ARCHS
from faceemo.inference.export.export import export
from faceemo.inference.export.file_formats import FORMATS
from faceemo.train.checkpoint.trained_model import read
from tests.support import keras_process
from tests.support.data.faces import face
from tests.support.inference import networks

pytestmark = pytest.mark.slow

CONSTRUCTORS = {
    "vgg16": "VGG16",
    "resnet50v2": "ResNet50V2",
    "efficientnetb0": "EfficientNetB0",
}
OTHERS = [arch for arch in ARCHS if arch != "mobilenet"]
# A Keras user's program that loads the backbones; arguments: a folder, constructors.
PROGRAM = """
import sys
import keras, numpy as np
folder, *constructors = sys.argv[1:]
for name in constructors:
    keras.utils.clear_session()
    backbone = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(32, 32, 3))
    backbone.load_weights(f"{folder}/{name}.h5", by_name=True)
    weights = {f"{layer.name}/{weight.name}": np.asarray(weight)
               for layer in backbone.layers for weight in layer.weights}
    np.savez(f"{folder}/{name}.npz", **weights)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, narrow_vgg16):
    """The path of a network with each backbone, by the backbone's name."""
    return {arch: networks.write(tmp_path_factory.mktemp(arch), arch) for arch in OTHERS}


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    """A folder with a .h5 of each network, and the faces that it was compared on."""
    folder = tmp_path_factory.mktemp("exported")
    for seed in range(2):
        Image.fromarray(face(seed)).save(folder / f"{seed}.png")
    for arch, run in runs.items():
        export(run, "keras", folder / f"{CONSTRUCTORS[arch]}.h5", sorted(folder.glob("*.png")))
    return folder


@pytest.mark.parametrize("arch", OTHERS)
def test_the_faces_that_files_are_compared_on_differ(runs, arch):
    probabilities = faceemo.load(runs[arch]).probabilities(np.stack([face(0), face(1)]))
    assert np.ptp(probabilities, axis=0).max() > 1e-3


@pytest.mark.slow(seconds=30)
def test_keras_loads_each_backbone_by_name(runs, exported, tmp_path):
    program = tmp_path / "load_backbones.py"
    program.write_text(PROGRAM)
    keras_process.run(program, exported, *CONSTRUCTORS.values())
    for arch, name in CONSTRUCTORS.items():
        weights = {}
        for collection in read(runs[arch]).variables.values():
            weights |= traverse_util.flatten_dict(collection.get("backbone", {}), sep="/")
        with np.load(exported / f"{name}.npz") as loaded:
            assert loaded.keys() == weights.keys()
            assert all(np.array_equal(loaded[key], value) for key, value in weights.items())


@pytest.mark.slow(seconds=25)
@pytest.mark.parametrize("form", ["keras", "tflite"])
def test_a_second_export_in_one_process_works(runs, exported, form):
    """Keras numbers layers without a name of their own, such as EfficientNetB0's first."""
    out = exported / f"second{FORMATS[form].suffixes[0]}"
    message = export(runs["efficientnetb0"], form, out, [exported / "0.png"])
    assert str(out) in message
