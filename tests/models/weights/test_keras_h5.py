"""Weights are read exactly from every layout of Keras's files, or all problems are named."""

import re
import shutil

import h5py
import numpy as np
import pytest

from faceemo.assets import catalogue
from faceemo.errors import UserError
from faceemo.models.weights import keras_h5
from tests.support.models import legacy_layout

pytestmark = pytest.mark.slow


def get_shapes(weights):
    return {name: array.shape for name, array in weights.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.fixture
def small(oracle):
    """Weights of a model with twelve convolutions and dropout, trained for one step."""
    return oracle.weights("small")


@pytest.mark.parametrize("file", ["backbone.h5", "backbone.weights.h5"])
def test_files_of_keras_are_read(oracle, file):
    expected = oracle.weights("backbone")
    assert len(expected) == 26
    assert_same(keras_h5.read(oracle.folder / file, get_shapes(expected)), expected)


@pytest.mark.parametrize("file", ["small.h5", "small.weights.h5"])
def test_optimizer_and_metrics_are_not_read_as_weights(oracle, small, file):
    assert len(small) == 26
    assert_same(keras_h5.read(oracle.folder / file, get_shapes(small)), small)


def test_layers_without_names_are_matched_by_number(oracle, small, tmp_path):
    path = tmp_path / "small.weights.h5"
    shutil.copy(oracle.folder / "small.weights.h5", path)
    with h5py.File(path, "a") as file:
        groups = []
        file.visititems(lambda _, item: groups.append(item))
        for group in groups:
            group.attrs.pop("name", None)
    assert_same(keras_h5.read(path, get_shapes(small)), small)


@pytest.mark.parametrize(
    "rename",
    [
        lambda layer, weight: f"{layer}/{weight}:0",
        lambda layer, weight: f"{layer}_3/{weight}:0",
        lambda layer, weight: f"{layer}_{ {'kernel': 'W', 'bias': 'b'}[weight] }_1:0",
    ],
    ids=["tensorflow", "second model of a session", "the VGG16 download"],
)
@pytest.mark.parametrize("root", ["/", "model_weights"])
@pytest.mark.parametrize("split", [False, True])
def test_names_of_older_keras_are_read(small, tmp_path, rename, root, split):
    path = legacy_layout.write(tmp_path / "old.h5", small, rename, root=root, split=split)
    assert_same(keras_h5.read(path, get_shapes(small)), small)


@pytest.mark.parametrize("layout", ["legacy", "keras3"])
def test_all_problems_are_in_one_error(oracle, small, tmp_path, layout):
    path = tmp_path / "bad.h5"
    original = {"legacy": "small.h5", "keras3": "small.weights.h5"}[layout]
    shutil.copy(oracle.folder / original, path)
    expected = get_shapes(small)
    expected["absent/kernel"] = (3, 3)
    del expected["c4/bias"]
    expected["c5/kernel"] = (1, 1, 6, 7)
    with h5py.File(path, "a") as file:
        prefix = {
            "legacy": "model_weights/c7/sequential_1/c7/kernel",
            "keras3": "layers/conv2d_7/vars/0",
        }[layout]
        file[prefix][0, 0, 0, 0] = np.nan
    with pytest.raises(UserError) as caught:
        keras_h5.read(path, expected)
    message = str(caught.value)
    assert "absent/kernel is missing" in message
    assert re.search(r"(c4/bias|conv2d_4/vars/1) \(6,\) is left over", message)
    assert "c5/kernel has shape (3, 3, 6, 7) instead of (1, 1, 6, 7)" in message
    assert "c7/kernel holds values that are not finite" in message
    # There are exactly four problems.
    assert message.split("; found ")[1].count(";") == 3


def test_a_missing_and_a_surplus_layer_without_names_are_an_error(oracle, small, tmp_path):
    path = tmp_path / "x.weights.h5"
    with (
        h5py.File(oracle.folder / "small.weights.h5") as source,
        h5py.File(path, "w") as target,
    ):
        for i in range(12):
            name = f"layers/conv2d_{i}" if i else "layers/conv2d"
            target[f"{name}/vars/0"] = source[f"{name}/vars/0"][()]
            target[f"{name}/vars/1"] = source[f"{name}/vars/1"][()]
        target["layers/conv2d_12/vars/0"] = np.zeros((1, 1, 1, 1))
    with pytest.raises(UserError) as caught:
        keras_h5.read(path, get_shapes(small))
    assert "last/kernel is missing; last/bias is missing" in str(caught.value)
    assert "layers/conv2d_12/vars/0 (1, 1, 1, 1) is left over" in str(caught.value)
    assert "c11" not in str(caught.value)


def test_the_hed_file_is_vgg16_and_the_ignored_groups(oracle):
    path = catalogue.fetch("vgg16.hed")
    expected = get_shapes(oracle.weights("backbone"))
    arrays = keras_h5.read(path, expected, keras_h5.HED_SIDE_OUTPUTS)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(
            arrays["block3_conv3/kernel"], file["block3/layers/conv2d_2/vars/0"][()]
        )
    with pytest.raises(UserError, match=r"fuse/vars/0 \(1, 1, 5, 1\) is left over") as caught:
        keras_h5.read(path, expected, keras_h5.HED_SIDE_OUTPUTS[:-1])
    assert "dsn" not in str(caught.value)


def test_a_missing_ignored_group_is_an_error(oracle):
    expected = get_shapes(oracle.weights("backbone"))
    with pytest.raises(UserError, match="group fuse is missing"):
        keras_h5.read(oracle.folder / "backbone.weights.h5", expected, ["fuse"])


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "header", "nothing in it"])
def test_a_damaged_file_is_one_error(oracle, small, tmp_path, damage):
    path = tmp_path / "bad.h5"
    whole = (oracle.folder / "small.h5").read_bytes()
    content = {
        "text": b"<html>404</html>" * 100,
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "header": whole[:2000] + bytes(len(whole) - 2000),
    }
    if damage == "nothing in it":
        h5py.File(path, "w").close()
    else:
        path.write_bytes(content[damage])
    with pytest.raises(UserError, match=r"bad\.h5"):
        keras_h5.read(path, get_shapes(small))
