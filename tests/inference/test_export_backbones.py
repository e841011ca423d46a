"""Every backbone exported, several in one process; Keras finds each weight by its official name."""

import numpy as np
import pytest
from flax import traverse_util
from PIL import Image

from faceemo import models
from faceemo.config import ARCHS, make_config
from faceemo.inference.export import FORMATS, export
from tests import finished, keras_process
from tests.data.faces import face
from tests.inference import networks

pytestmark = pytest.mark.slow

MAKERS = {"vgg16": "VGG16", "resnet50v2": "ResNet50V2", "efficientnetb0": "EfficientNetB0"}
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
def exported(tmp_path_factory):
    """A folder of a .h5 and a .stablehlo of each backbone; and their variables, by its name."""
    folder = tmp_path_factory.mktemp("exported")
    for seed in range(2):
        Image.fromarray(face(seed)).save(folder / f"{seed}.png")
    variables = {}
    for arch in ARCHS:
        config = make_config(arch, "0,weights=none,image_size=32")
        model = models.build(config)
        variables[arch] = finished.drawn(model, 7)
        path = networks.write(folder / f"{arch}.npz", model, variables[arch], config)
        for form in ("keras", "stablehlo"):
            out = folder / f"{MAKERS[arch]}{FORMATS[form].suffix}"
            export(path, form, out, sorted(folder.glob("*.png")))
    return folder, variables


def test_keras_takes_each_backbone_by_name(exported, tmp_path):
    folder, variables = exported
    program = tmp_path / "taker.py"
    program.write_text(TAKER)
    keras_process.run(program, folder, *MAKERS.values())
    for arch, maker in MAKERS.items():
        wanted = {}
        for collection in variables[arch].values():
            wanted |= traverse_util.flatten_dict(collection.get("backbone", {}), sep="/")
        with np.load(folder / f"{maker}.npz") as taken:
            assert taken.keys() == wanted.keys()
            assert all(np.array_equal(taken[name], value) for name, value in wanted.items())


@pytest.mark.parametrize("form", ["keras", "tflite"])
def test_a_second_export_in_one_process_is_like_the_first(exported, form):
    """Keras counts layers that have no name of their own, such as EfficientNetB0's first."""
    folder, _ = exported
    out = folder / f"again{FORMATS[form].suffix}"
    assert str(out) in export(folder / "efficientnetb0.npz", form, out, [folder / "0.png"])
