"""ResNet50V2, EfficientNetB0 and MobileNet equal those of keras.applications."""

import re
from typing import Any

import h5py
import jax
import numpy as np
import pytest
from flax import traverse_util

from faceemo import models
from faceemo.config import make_config
from faceemo.models import preprocessing
from faceemo.models.layers.layers import Mode

pytestmark = pytest.mark.slow

ARCHS = ("resnet50v2", "efficientnetb0", "mobilenet")
CHANNELS = {"resnet50v2": 2048, "efficientnetb0": 1280, "mobilenet": 1024}
PREPROCESSING = {
    "resnet50v2": preprocessing.PLUS_MINUS_ONE,
    "efficientnetb0": preprocessing.IDENTITY,
    "mobilenet": preprocessing.PLUS_MINUS_ONE,
}


# As a share of the largest value. MobileNet's 27 convolutions have no shortcuts and ReLU6 cuts most
# of their range, so that rounding errors grow (test_adam_step.py is in float64).
TOLERANCE = {"resnet50v2": 1e-4, "efficientnetb0": 1e-4, "mobilenet": 3e-3}
# At 48 pixels a last map of MobileNet has one position, so that the oracle's statistics come from
# four numbers a channel: over five draws the errors were 6e-4 to 3e-3, at other sizes up to 1e-4.
ONE_POSITION = 1e-2


def assert_close(ours, keras, tolerance):
    """Checks that the difference is at most `tolerance` of the largest value."""
    assert np.shape(ours) == keras.shape
    np.testing.assert_allclose(
        np.asarray(ours, np.float32), keras, rtol=0, atol=tolerance * np.abs(keras).max()
    )


def build(arch, size, **fields):
    overrides = "".join(f",{name}={value}" for name, value in fields.items())
    return models.build(make_config(arch, f"9,weights=none,image_size={size}{overrides}"))


def make_zeros(model):
    """Returns variables of zeros."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), model.shapes())


def flatten(variables, part="backbone"):
    """Returns parameters and statistics by 'layer/weight'."""
    trees = [variables[name].get(part, {}) for name in ("params", "batch_stats")]
    flat: list[dict[str, Any]] = [traverse_util.flatten_dict(tree, sep="/") for tree in trees]
    return {name: array for tree in flat for name, array in tree.items()}


def replace(tree, arrays):
    """Replaces the leaves of a tree that are in `arrays`, by 'layer/weight'."""
    leaves = traverse_util.flatten_dict(tree, sep="/")
    return traverse_util.unflatten_dict({n: arrays.get(n, a) for n, a in leaves.items()}, sep="/")


def run_training(model, variables, inputs, mask=None):
    """Returns features and new statistics of a pass in training mode, without dropout."""

    def run(params, statistics, inputs, mask):
        return model.features(params, statistics, inputs, Mode(model.trained, mask))

    return jax.jit(run)(variables["params"], variables["batch_stats"], inputs, mask)


@pytest.fixture(scope="module", params=ARCHS)
def arch(request):
    return request.param


@pytest.fixture(scope="module")
def keras(networks, arch):
    return networks(arch).weights(arch)


@pytest.fixture(scope="module")
def loaded(networks, arch):
    """Variables with Keras's backbone; the head is zero."""
    model = build(arch, 48)
    return models.load_weights(model, make_zeros(model), str(networks(arch).folder / f"{arch}.h5"))[
        0
    ]


@pytest.mark.parametrize("layout", ["h5", "weights.h5", "keras", "numbers only"])
def test_every_array_is_read_from_every_layout(networks, arch, keras, tmp_path, layout):
    path = networks(arch).folder / f"{arch}.{layout}"
    if layout == "numbers only":  # as Keras 3 wrote before it noted names
        path = tmp_path / "x.weights.h5"
        path.write_bytes((networks(arch).folder / f"{arch}.weights.h5").read_bytes())
        with h5py.File(path, "a") as file:
            file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
    model = build(arch, 48)
    variables, expected_preprocessing, source = models.load_weights(
        model, make_zeros(model), str(path)
    )
    written = {n.removeprefix("weights/"): a for n, a in keras.items() if n.startswith("weights/")}
    found = flatten(variables)
    renamed = {re.sub(r"^normalization_\d+/", "normalization/", n): a for n, a in written.items()}
    assert found.keys() == renamed.keys()
    for name, array in renamed.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert expected_preprocessing == PREPROCESSING[arch]
    assert source["source"] == str(path)


@pytest.mark.parametrize("size", [48, 75, 96, 224])
def test_inference_equals_keras(arch, keras, loaded, size):
    norms = {
        name.removeprefix(f"norms{size}/"): array
        for name, array in keras.items()
        if name.startswith(f"norms{size}/")
    }
    params = {"backbone": replace(loaded["params"]["backbone"], norms)}
    statistics = {"backbone": replace(loaded["batch_stats"]["backbone"], norms)}
    model = build(arch, size)
    features, unchanged = jax.jit(model.features)(params, statistics, keras[f"inputs{size}"])
    side = size // 32 if arch == "mobilenet" else -(-size // 32)
    assert features.shape == (4, side, side, CHANNELS[arch])
    tolerance = ONE_POSITION if (arch, size) == ("mobilenet", 48) else TOLERANCE[arch]
    assert_close(features, keras[f"features{size}"], tolerance)
    for name, array in flatten({"params": {}, "batch_stats": unchanged}).items():
        np.testing.assert_array_equal(
            array, traverse_util.flatten_dict(statistics["backbone"], sep="/")[name]
        )
    for extra, kind in ((False, "plain"), (True, "extra")):
        whole = build(arch, size, extra_dense=extra)
        head = {n.removeprefix(f"head/{kind}/"): a for n, a in keras.items()}
        head = replace(make_zeros(whole)["params"]["head"], head)
        assert list(head) == ["predictions"] if kind == "plain" else ["fc_extra", "predictions"]
        logits = whole.logits({"head": head}, features)
        assert logits.dtype == np.float32
        assert_close(logits, keras[f"logits{size}/{kind}"], tolerance)


@pytest.mark.parametrize("padding", [0, 2])
def test_a_training_pass_equals_keras_with_any_padding(arch, keras, loaded, padding):
    model = build(arch, 96)
    real = keras["inputs96"]
    inputs = np.concatenate([real, real[:padding] * 3])
    mask = np.repeat(np.float32([1, 0]), [len(real), padding]) if padding else None
    features, moved = run_training(model, loaded, inputs, mask)
    assert_close(features[: len(real)], keras["training"], TOLERANCE[arch])
    before = flatten({"params": {}, "batch_stats": loaded["batch_stats"]})
    for name, array in flatten({"params": {}, "batch_stats": moved}).items():
        if "/moving_" in name:
            assert_close(array, keras[f"moved/{name}"], 1e-4)
            # Only a hundredth of a statistic is new: the update alone is a stricter measure.
            assert_close(array - before[name], keras[f"moved/{name}"] - before[name], 1e-3)
        else:
            np.testing.assert_array_equal(array, before[name])


def test_only_blocks_that_train_update_their_statistics(arch, keras, loaded):
    model = build(arch, 48, unfreeze=1)
    _, moved = run_training(model, loaded, keras["inputs48"])
    top = model.blocks[-2]
    before = flatten({"params": {}, "batch_stats": loaded["batch_stats"]})
    for name, array in flatten({"params": {}, "batch_stats": moved}).items():
        moves = re.fullmatch(top.pattern, f"backbone/{name}") is not None
        assert np.array_equal(array, before[name]) != moves, name


def test_bfloat16_rounds_features_but_not_variables_and_logits(arch, keras, loaded):
    coarse = build(arch, 96, dtype="bfloat16")
    features, moved = run_training(coarse, loaded, keras["inputs96"])
    assert features.dtype == jax.numpy.bfloat16
    leaves = jax.tree.leaves((moved, coarse.shapes()))
    assert {leaf.dtype for leaf in leaves} == {np.dtype("float32")}
    error = np.asarray(features, np.float32) - keras["training"]
    # Root mean square relative to that of the features; random layers amplify rounding errors.
    assert 1e-4 < np.linalg.norm(error) / np.linalg.norm(keras["training"]) < 0.6
    head = jax.tree.map(np.ones_like, make_zeros(coarse)["params"]["head"])
    assert coarse.logits({"head": head}, features).dtype == np.float32


def test_every_leaf_is_in_exactly_one_block_and_no_block_is_empty(arch):
    model = build(arch, 48, extra_dense=True)
    variables = model.shapes()
    for collection in ("params", "batch_stats"):
        owners = [
            [block.name for block in model.blocks if re.fullmatch(block.pattern, path)]
            for path in traverse_util.flatten_dict(variables[collection], sep="/")
        ]
        assert all(len(names) == 1 for names in owners)
        without = {"head", "conv1"} if collection == "batch_stats" else set()
        assert {names[0] for names in owners} == {b.name for b in model.blocks} - without
    assert [block.name for block in model.blocks] == {
        "resnet50v2": ["conv1", "conv2", "conv3", "conv4", "conv5", "head"],
        "efficientnetb0": ["stem", *(f"block{n}" for n in range(1, 8)), "head"],
        "mobilenet": ["stem", *(f"block{n}" for n in range(1, 6)), "head"],
    }[arch]


@pytest.mark.parametrize("size", [32, 33, 63])
def test_any_image_size_from_32_up_works(arch, size):
    model = build(arch, size)
    shape = jax.ShapeDtypeStruct((2, size, size, 3), np.float32)
    variables = model.shapes()
    logits, _ = jax.eval_shape(model.apply, variables["params"], variables["batch_stats"], shape)
    assert logits.shape == (2, 4)


@pytest.mark.slow(seconds=15)
def test_initial_values_are_keras_defaults(arch):
    """Checks that gammas and variances are 1, biases and means 0, and kernels spread as Keras's."""
    drawn = jax.tree.map(np.asarray, build(arch, 32).init(3))
    for name, array in flatten(drawn).items():
        if name.endswith(("gamma", "variance")):
            assert (array == 1).all(), name
        elif not name.endswith("kernel"):
            assert (array == 0).all(), name
        else:
            height, width, inputs, outputs = array.shape
            if arch != "efficientnetb0":  # Glorot, uniform
                spread = np.sqrt(2 / (height * width * (inputs + outputs)))
                assert np.abs(array).max() <= np.sqrt(3) * spread * 1.0001
            else:
                spread = np.sqrt(2 / (height * width * outputs))
                assert np.abs(array).max() <= 2 * spread / 0.8796 * 1.0001  # truncated at two
            np.testing.assert_allclose(array.std(), spread, rtol=5 / np.sqrt(array.size))
