"""Parts that only EfficientNetB0 has: normalisation from the file, stochastic depth."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from faceemo import models
from faceemo.assets import catalogue, downloads
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models import efficientnetb0
from faceemo.models.layers.layers import Mode, dropout
from tests.support.models import legacy_layout

pytestmark = pytest.mark.slow

NAME = "efficientnetb0.imagenet"


@pytest.fixture(scope="module")
def model():
    return models.build(make_config("efficientnetb0", "9,weights=none,image_size=48"))


@pytest.fixture(scope="module")
def zeros(model):
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), model.shapes())


def register_download(monkeypatch, path):
    """Makes the hash of a file that of Keras's ImageNet download."""
    asset = catalogue.ASSETS[NAME]
    source = dataclasses.replace(asset.sources[0], digest=f"sha256:{downloads.file_digest(path)}")
    changed = dataclasses.replace(asset, sources=(source,))
    monkeypatch.setitem(catalogue.ASSETS, NAME, changed)


def normalization(variables):
    return variables["batch_stats"]["backbone"]["normalization"]


def test_imagenet_weights_normalise_as_keras_does(networks, model, zeros, monkeypatch):
    official = networks("efficientnetb0").folder / "official.h5"
    register_download(monkeypatch, official)
    monkeypatch.setattr(catalogue, "fetch", lambda name, **_: {NAME: official}[name])
    loaded, _, source = models.load_weights(model, zeros, "imagenet")
    assert source["source"] == "imagenet"
    keras = networks("efficientnetb0").weights("imagenet")
    features, _ = jax.jit(model.features)(loaded["params"], loaded["batch_stats"], keras["inputs"])
    np.testing.assert_allclose(
        features, keras["features"], rtol=0, atol=1e-4 * np.abs(keras["features"]).max()
    )
    variance = normalization(loaded)["variance"]
    np.testing.assert_allclose(variance, np.square([0.229, 0.224, 0.225]), rtol=1e-6)
    # Files that Keras saves of that model give the same numbers.
    for end in ("h5", "weights.h5", "keras"):
        path = str(networks("efficientnetb0").folder / f"imagenet.{end}")
        again, _, _ = models.load_weights(model, zeros, path)
        jax.tree.map(np.testing.assert_array_equal, again, loaded)


def test_the_download_is_recognised_by_its_hash(networks, model, zeros, monkeypatch):
    path = networks("efficientnetb0").folder / "official.h5"
    plain, _, _ = models.load_weights(model, zeros, str(path))
    np.testing.assert_array_equal(
        normalization(plain)["variance"], np.float32([0.229, 0.224, 0.225])
    )
    register_download(monkeypatch, path)
    known, _, _ = models.load_weights(model, zeros, str(path))
    np.testing.assert_allclose(
        normalization(known)["variance"], np.square([0.229, 0.224, 0.225]), rtol=1e-6
    )


@pytest.fixture(scope="module")
def written(networks):
    """Keras's weights by 'layer/weight', and the names of its layers."""
    prefix = "weights/"
    weights = {
        re.sub(r"^normalization_\d+", "normalization", name.removeprefix(prefix)): array
        for name, array in networks("efficientnetb0").weights("efficientnetb0").items()
        if name.startswith(prefix)
    }
    return weights, list(dict.fromkeys(name.split("/")[0] for name in weights))


def keras_2_name(layer, weight):
    depthwise = "dwconv" in layer and weight == "kernel"
    return f"{layer}/{'depthwise_kernel' if depthwise else weight}:0"


def test_the_names_in_the_download_are_read(model, zeros, written, tmp_path):
    weights, layers = written
    counted = {n.replace("normalization/", "normalization_3/"): a for n, a in weights.items()}
    names = ["rescaling_3", *("normalization_3" if n == "normalization" else n for n in layers)]
    path = legacy_layout.write(tmp_path / "x.h5", counted, keras_2_name, layers=names)
    loaded, _, _ = models.load_weights(model, zeros, str(path))
    params, statistics = loaded["params"]["backbone"], normalization(loaded)
    np.testing.assert_array_equal(
        params["block6a_dwconv"]["kernel"], weights["block6a_dwconv/kernel"]
    )
    for name in ("mean", "variance", "count"):
        np.testing.assert_array_equal(statistics[name], weights[f"normalization/{name}"])


@pytest.mark.parametrize("wrong", ["batch_normalization_3", "normalisation", "my_normalization_1"])
def test_other_names_of_the_normalisation_are_an_error(model, zeros, written, tmp_path, wrong):
    weights, layers = written
    renamed = {n.replace("normalization/", f"{wrong}/"): a for n, a in weights.items()}
    names = ["rescaling", *(wrong if n == "normalization" else n for n in layers)]
    path = legacy_layout.write(tmp_path / "x.h5", renamed, keras_2_name, layers=names)
    with pytest.raises(UserError, match="normalization/mean is missing") as caught:
        models.load_weights(model, zeros, str(path))
    assert f"{wrong}/mean (3,) is left over" in str(caught.value)


def test_a_file_without_rescaling_layers_is_an_error(model, zeros, written, tmp_path):
    path = legacy_layout.write(tmp_path / "x.h5", written[0], keras_2_name)
    with pytest.raises(UserError, match="rescaling"):
        models.load_weights(model, zeros, str(path))


def list_dropouts(model, monkeypatch, training, keys=True):
    """Returns (rate, place, whole) of every dropout in a forward pass."""
    drawn = []

    def record(inputs, rate, keys, place, *, whole=False):
        drawn.append((rate, place, whole))
        return inputs

    monkeypatch.setattr(efficientnetb0, "dropout", record)
    variables = model.shapes()
    shape = jax.ShapeDtypeStruct((2, 48, 48, 3), np.float32)
    mode = Mode(frozenset(training), keys=jax.random.split(jax.random.key(0), 2) if keys else None)
    jax.eval_shape(
        lambda p, s, x: model.features(p, s, x, mode),
        variables["params"],
        variables["batch_stats"],
        shape,
    )
    return drawn


def test_branches_are_dropped_at_keras_rates(pieces, model, monkeypatch):
    rates = pieces.weights("drop_rates")
    expected = [float(rates[name]) for name in sorted(rates)]
    drawn = list_dropouts(model, monkeypatch, model.trained)
    np.testing.assert_allclose([rate for rate, _, _ in drawn], expected, rtol=1e-6)
    assert len(expected) == 9
    places = [place for _, place, _ in drawn]
    assert len({0, *places}) == 10  # 0 is the head's
    assert all(whole for _, _, whole in drawn)


def test_frozen_blocks_drop_no_branches(model, monkeypatch):
    assert list_dropouts(model, monkeypatch, {"head", "block1"}) == []
    assert len(list_dropouts(model, monkeypatch, {"head", "block6"})) == 3
    assert list_dropouts(model, monkeypatch, model.trained, keys=False) == []


@pytest.mark.parametrize("rate", [0.0125, 0.1875])
def test_stochastic_depth_drops_whole_examples_and_keeps_the_mean(rate):
    keys = jax.random.split(jax.random.key(1), 20_000)
    branch = np.random.default_rng(0).uniform(1, 2, (20_000, 1, 2, 3)).astype(np.float32)
    dropped = np.asarray(dropout(branch, rate, keys, place=4, whole=True))
    gone = (dropped == 0).all((1, 2, 3))
    np.testing.assert_allclose(dropped[~gone], branch[~gone] / (1 - rate), rtol=1e-6)
    deviation = np.sqrt(rate * (1 - rate) / len(gone))
    assert abs(gone.mean() - rate) < 5 * deviation
    # The next example and another place are drawn independently.
    elsewhere = np.asarray(dropout(branch, rate, keys, place=5, whole=True)) == 0
    for other in (np.roll(gone, 1), elsewhere.all((1, 2, 3))):
        assert abs((gone & other).mean() - rate**2) < 5 * np.sqrt(rate**2 / len(gone))
    alone = dropout(branch[7:8], rate, keys[7:8], place=4, whole=True)
    np.testing.assert_array_equal(alone, dropped[7:8])


def test_a_dropped_branch_leaves_the_input_of_the_block(networks, model, zeros, monkeypatch):
    """Checks that blocks 6b to 6d change nothing without their branches."""
    monkeypatch.setattr(efficientnetb0, "dropout", lambda inputs, *rest, **options: inputs * 0)
    path = str(networks("efficientnetb0").folder / "efficientnetb0.h5")
    variables, _, _ = models.load_weights(model, zeros, path)
    params, statistics = variables["params"], variables["batch_stats"]
    images = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype(np.float32)
    mode = Mode(frozenset({"block6"}), keys=jax.random.split(jax.random.key(0), 2))
    run = jax.jit(lambda params: model.features(params, statistics, images, mode)[0])
    other = dict(params["backbone"])
    for name in other:
        if re.match("block6[bcd]_", name):
            other[name] = jax.tree.map(lambda leaf: leaf + 1, other[name])
    np.testing.assert_array_equal(run(params), run({"backbone": other}))
