"""Blocks, initial values and head of a network, on VGG16; dropout."""

import re
from typing import Any

import jax
import numpy as np
import pytest
from flax import traverse_util

from faceemo import models
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models.head import Head
from faceemo.models.layers.layers import Mode, dropout


@pytest.fixture(scope="module")
def model():
    return models.build(make_config("vgg16", "7,image_size=32"))


@pytest.mark.parametrize(
    ("unfreeze", "trained"),
    [
        ("0", {"head"}),
        ("1", {"block5", "head"}),
        ("2", {"block4", "block5", "head"}),
        ("3", {"block3", "block4", "block5", "head"}),
        ("all", {"block1", "block2", "block3", "block4", "block5", "head"}),
    ],
)
def test_unfreeze_counts_blocks_from_the_top(model, unfreeze, trained):
    assert models.select_trained_blocks(model.blocks, unfreeze) == trained
    assert models.build(make_config("vgg16", f"0,unfreeze={unfreeze}")).trained == trained


def test_unfreezing_more_blocks_than_exist_is_an_error(model):
    with pytest.raises(UserError, match="'6'"):
        models.select_trained_blocks(model.blocks, "6")


def test_every_parameter_is_in_exactly_one_block_and_no_block_is_empty(model):
    paths = traverse_util.flatten_dict(model.shapes()["params"], sep="/")
    owners = [
        [block.name for block in model.blocks if re.fullmatch(block.pattern, path)]
        for path in paths
    ]
    assert all(len(names) == 1 for names in owners)
    assert {names[0] for names in owners} == {block.name for block in model.blocks}
    assert model.blocks[-1] == models.Block("head", r"head/.*")


def test_parameter_count_equals_keras(model):
    # 14,714,688 is Keras's own count of VGG16 without top.
    shapes = model.shapes()
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]["backbone"]))
    assert count == 14_714_688
    head = shapes["params"]["head"]
    assert list(head) == ["fc1", "fc2", "fc_extra", "predictions"]
    assert head["fc1"]["kernel"].shape == (512, 4096)
    assert shapes["batch_stats"] == {}


@pytest.mark.slow
def test_initial_values_are_keras_default(model):
    first, again, other = (jax.tree.map(np.asarray, model.init(seed)) for seed in (1, 1, 2))
    flat: dict[str, Any] = traverse_util.flatten_dict(first["params"], sep="/")
    for path, leaf in flat.items():
        assert leaf.dtype == np.float32
        if path.endswith("bias"):
            assert not np.any(leaf)
            continue
        receptive = np.prod(leaf.shape[:-2])
        limit = np.sqrt(6 / (receptive * (leaf.shape[-2] + leaf.shape[-1])))
        assert np.abs(leaf).max() <= limit * 1.00001, path
        # A uniform distribution's spread is its limit over the root of 3.
        np.testing.assert_allclose(np.std(leaf), limit / np.sqrt(3), rtol=0.06, err_msg=path)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first, again)
    assert all(jax.tree.leaves(same))
    head_alone = model.init_head(1)["params"]
    jax.tree.map(np.testing.assert_array_equal, head_alone["head"], first["params"]["head"])
    assert head_alone["backbone"] == model.shapes()["params"]["backbone"]
    kernels = jax.tree.map(lambda a, b: bool((a == b).any()), first, other)["params"]
    assert not kernels["backbone"]["block1_conv1"]["kernel"]
    assert not kernels["head"]["fc1"]["kernel"]


@pytest.mark.slow
def test_every_image_size_starts_from_the_same_backbone(model):
    larger = models.build(make_config("vgg16", "7,image_size=96"))
    small, large = model.init(1)["params"], larger.init(1)["params"]
    jax.tree.map(np.testing.assert_array_equal, small["backbone"], large["backbone"])
    assert small["head"]["fc1"]["kernel"].shape == (1 * 1 * 512, 4096)
    assert large["head"]["fc1"]["kernel"].shape == (3 * 3 * 512, 4096)
    shapes = larger.shapes()["params"]
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), large) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), shapes
    )


def test_model_is_hashable(model):
    # A compiled function can take it as a static argument.
    assert hash(model) == hash(models.build(make_config("vgg16", "7,image_size=32")))


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_zeroes_the_given_share_and_keeps_the_mean(rate):
    keys = jax.random.split(jax.random.key(0), 8)
    ones = np.ones((8, 20_000), np.float32)
    dropped = np.asarray(dropout(ones, rate, keys, place=1))
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / (1 - rate)], rtol=1e-6)
    np.testing.assert_allclose((dropped == 0).mean(1), rate, atol=5 * np.sqrt(0.25 / 20_000))
    elsewhere = np.asarray(dropout(ones, rate, keys, place=2))
    assert (dropped != elsewhere).mean() > 0.2
    assert (dropped[0] != dropped[1]).mean() > 0.2


def test_dropout_depends_on_the_example_alone():
    keys = jax.random.split(jax.random.key(0), 6)
    values = np.random.default_rng(0).normal(size=(6, 50)).astype(np.float32)
    together = dropout(values, 0.5, keys, place=1)
    np.testing.assert_array_equal(dropout(values[4:5], 0.5, keys[4:5], place=1), together[4:5])


def test_the_head_uses_dropout_only_in_training():
    head = Head(num_classes=4, pooling="average", dropout_rate=0.5)
    features = np.random.default_rng(0).normal(size=(3, 2, 2, 64)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 3)
    variables = head.init(jax.random.key(0), features, Mode())
    plain: Any = head.apply(variables, features, Mode())
    params = variables["params"]["predictions"]
    expected = features.mean((1, 2)) @ np.asarray(params["kernel"])
    np.testing.assert_allclose(plain, expected, atol=1e-5)
    frozen = head.apply(variables, features, Mode(keys=keys))
    np.testing.assert_array_equal(frozen, plain)
    training: Any = head.apply(variables, features, Mode(training=frozenset({"head"}), keys=keys))
    assert np.abs(training - plain).max() > 0.1
