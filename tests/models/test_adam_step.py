"""One step of Adam in float64 equals Keras's at each unfreezing level; so do the weight counts."""

import functools
import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import traverse_util

from faceemo import models
from faceemo.config import ARCHS, VARIANTS, make_config
from faceemo.models.weights import keras_h5
from faceemo.train import freezing
from tests.support.models import small_head

pytestmark = pytest.mark.slow

LEARNING_RATE = 1e-3
TOLERANCE = 1e-6
# Parameters that shift a whole channel before a BatchNorm, which subtracts the shift again.
CANCELLED = {
    "vgg16": "",
    "resnet50v2": r"conv\d_block\d_[03]_conv/bias",
    "efficientnetb0": r"block\d[a-d]_project_bn/beta",
    "mobilenet": "",
}


def load_start(oracle, arch, model):
    """Returns the variables from which Keras's step started, float64."""
    shapes = model.shapes()
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes)
    if arch == "vgg16":
        parts: list[dict[str, Any]] = [
            traverse_util.flatten_dict(part, sep="/") for part in shapes["params"].values()
        ]
        expected = {name: leaf.shape for part in parts for name, leaf in part.items()}
        arrays = keras_h5.read(oracle.folder / "vgg16_whole.weights.h5", expected)
        params = {
            name: traverse_util.unflatten_dict({n: arrays[n] for n in part}, sep="/")
            for name, part in zip(shapes["params"], parts, strict=True)
        }
        variables = {"params": params, "batch_stats": {}}
    else:
        path = str(oracle.folder / f"{arch}.h5")
        variables, _, _ = models.load_weights(model, variables, path)
        for name in ("kernel", "bias"):
            variables["params"]["head"]["predictions"][name] = oracle.results[
                f"{arch}/head/plain/predictions/{name}"
            ]
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)


def run_step(model, variables, inputs):
    """Returns the variables after one step on four images of the four classes."""
    labels = freezing.label_params(model, variables["params"])
    optimizer = freezing.make_optimizer(LEARNING_RATE, labels)

    def loss(params, statistics, inputs):
        logits, statistics = model.apply(params, statistics, inputs, train=True)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(4))
        return losses.mean(), statistics

    @jax.jit
    def run(params, statistics, inputs):
        gradients, statistics = jax.grad(loss, has_aux=True)(params, statistics, inputs)
        updates, _ = optimizer.update(gradients, optimizer.init(params), params)
        return freezing.map_trained(jnp.add, labels, params, updates), statistics

    params, statistics = run(variables["params"], variables["batch_stats"], inputs)
    return {"params": params, "batch_stats": statistics}


def subsample(array):
    """Selects about 50,000 values, as in keras_networks.py."""
    return array.ravel()[:: (array.size // 50_000) | 1]


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize("level", ["0", "1", "all"])
@pytest.mark.parametrize("arch", ARCHS)
def test_step_equals_keras(networks, monkeypatch, arch, level):
    """VGG16's dense layers are narrow; test_vgg16.py compares those of the usual width."""
    small_head.replace_vgg16(monkeypatch)
    oracle = networks(arch)
    inputs = oracle.results[f"{arch}/step/inputs"]
    config = make_config(arch, f"0,weights=none,unfreeze={level},image_size={inputs.shape[1]}")
    config.dtype = "float64"
    with jax.enable_x64(True):
        model = models.build(config)
        before = load_start(oracle, arch, model)
        after = jax.tree.map(np.asarray, run_step(model, before, inputs))
    expected = oracle.weights(f"{arch}/step{level}")
    changes = jax.tree.map(lambda new, old: new - old, after, before)
    trained = {block.name: block.pattern for block in model.blocks if block.name in model.trained}
    compared, tiny = set(), set()
    for collection, tree in changes.items():
        flat: dict[str, Any] = traverse_util.flatten_dict(tree, sep="/")
        for path, change in flat.items():
            assert change.dtype == np.float64
            name = path.partition("/")[2]
            trains = any(re.fullmatch(pattern, path) for pattern in trained.values())
            if not trains or name.startswith("normalization/"):
                assert not change.any(), f"{path} is frozen"
                assert not np.any(expected.get(name, 0))
                continue
            compared.add(name)
            keras, ours = expected[name], subsample(change)
            if collection == "params" and np.abs(keras).max() < 1e-3 * LEARNING_RATE:
                # The true gradient is 0; Adam makes lr * g / (|g| + 1e-7) of its rounding error g.
                tiny.add(name)
                assert np.abs(ours).max() < 1e-3 * LEARNING_RATE, path
            else:
                difference = np.linalg.norm(ours - keras) / np.linalg.norm(keras)
                assert difference < TOLERANCE, f"{path}: {difference}"
    assert {n for n, a in expected.items() if np.any(a)} <= compared
    # The absolute bound may only hold for parameters whose effect the next BatchNorm removes.
    assert all(re.fullmatch(CANCELLED[arch], name) for name in tiny)
    assert bool(tiny) == (CANCELLED[arch] != "" and level != "0")


def test_five_steps_of_the_optimizer_equal_keras_adam(pieces):
    keras = pieces.weights("adam")
    with jax.enable_x64(True):
        params = {"weight": jnp.ones(40)}
        optimizer = freezing.make_optimizer(LEARNING_RATE, {"weight": freezing.TRAIN})
        state = optimizer.init(params)
        for gradient, expected in zip(keras["gradients"], keras["after"], strict=True):
            updates, state = optimizer.update({"weight": jnp.asarray(gradient)}, state, params)
            params = optax.apply_updates(params, updates)
            np.testing.assert_allclose(
                params["weight"], expected, rtol=0, atol=1e-4 * LEARNING_RATE
            )


@functools.cache
def make_shapes(arch, extra):
    """Returns the shapes of the variables at 224 px, which depend on nothing else."""
    config = make_config(arch, f"0,weights=none,extra_dense={extra}")
    return models.build(config).shapes()


def count_dense(*widths):
    """Counts the parameters of dense layers between these widths."""
    return sum((below + 1) * above for below, above in itertools.pairwise(widths))


@pytest.mark.parametrize("variant", range(12))
@pytest.mark.parametrize("arch", ARCHS)
def test_weight_counts_equal_keras(networks, arch, variant):
    row = VARIANTS[variant]
    config = make_config(arch, f"{variant},weights=none")
    model, shapes = models.build(config), make_shapes(arch, row.extra_dense)
    plan = freezing.make_plan(model, shapes["params"], shapes["batch_stats"])
    trained, frozen = (sum(r[key] for r in plan) for key in ("trained", "frozen"))
    # Keras counts the statistics of BatchNorm and normalisation as frozen weights.
    statistics = sum(leaf.size for leaf in jax.tree.leaves(shapes["batch_stats"]))
    below, extra = {
        "vgg16": ([7 * 7 * 512, 4096, 4096], [4096]),
        "resnet50v2": ([2048], [4096]),
        "efficientnetb0": ([1280], [1280]),
        "mobilenet": ([1024], [1024]),
    }[arch]
    head = count_dense(*below, *(extra if row.extra_dense else []), 4)
    keras_trained, keras_frozen = networks(arch).results[f"{arch}/counts/{row.unfreeze}"]
    assert trained == keras_trained + head
    assert frozen + statistics == keras_frozen
