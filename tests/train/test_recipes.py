"""Optimiser, schedule and loss beyond the study, against Keras's own; all off changes no bit."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from faceemo.data.pipeline import Batch
from faceemo.train import average, optim, state
from faceemo.train.mixing import Mixing, with_partners
from faceemo.train.schedule import make_schedule
from faceemo.train.steps import cross_entropy, make_train_step
from tests.train.plain_step import make_plain_optimizer, make_plain_step
from tests.train.tiny import GREY, make_model, make_split, tiny_config

WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0], np.float32)


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras_recipes")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))}
    program = Path(__file__).with_name("keras_recipes.py")
    done = subprocess.run(
        [sys.executable, program, folder],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"Keras must run: {done.stderr[-3000:]}"
    with np.load(folder / "results.npz") as results:
        return dict(results)


def keras_schedule(keras):
    """Ours with the oracle's settings, 5 epochs of 5 steps."""
    peak, warmup, total, _, _ = keras["settings"]
    config = tiny_config(
        learning_rate=float(peak), schedule="cosine", epochs=5, warmup_epochs=float(warmup) / 5
    )
    assert total == 25
    return make_schedule(config, 5)


def test_the_schedule_is_keras_cosine_with_warm_up(keras):
    schedule = keras_schedule(keras)
    ours = [schedule(jnp.int32(step)) for step in range(25)]
    np.testing.assert_allclose(ours, keras["rates"], rtol=1e-4)


def test_schedules_without_the_one_or_the_other():
    rate = make_schedule(tiny_config(learning_rate=0.5), 10)
    assert rate == 0.5, "a plain number: nothing is computed where nothing changes"
    warm = make_schedule(tiny_config(learning_rate=0.5, warmup_epochs=0.4), 10)
    np.testing.assert_allclose([warm(t) for t in range(6)], [0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    cosine = make_schedule(tiny_config(learning_rate=0.5, schedule="cosine", epochs=2), 10)
    wanted = 0.25 * (1 + np.cos(np.pi * np.arange(20) / 20))
    np.testing.assert_allclose([cosine(t) for t in range(20)], wanted, rtol=1e-5)


def test_adamw_and_clipping_are_keras_step_after_step(keras):
    """Under the schedule, in float64; the bias does not decay, a frozen leaf does not count."""
    _, _, _, decay, clip = keras["settings"]
    labels = {"layer": {"kernel": "train", "bias": "train"}, "still": {"kernel": "freeze"}}
    with jax.enable_x64(True):
        layer = {name: jnp.asarray(keras[f"{name}0"]) for name in ("kernel", "bias")}
        params = {"layer": layer, "still": {"kernel": jnp.ones(2)}}
        optimizer = optim.make_optimizer(
            keras_schedule(keras), labels, weight_decay=float(decay), clip_norm=float(clip)
        )
        opt_state = optimizer.init(params)
        for step in range(25):
            gradients = {
                "kernel": jnp.asarray(keras["kernel_gradients"][step]),
                "bias": jnp.asarray(keras["bias_gradients"][step, 0]),
            }
            # If it counted, all others would be clipped to nothing.
            gradients = {"layer": gradients, "still": {"kernel": jnp.full(2, 1e9)}}
            updates, opt_state = optimizer.update(gradients, opt_state, params)
            params = optim.map_trained(jnp.add, labels, params, updates)
            for name, series in (("kernel", "kernels"), ("bias", "biases")):
                np.testing.assert_allclose(
                    params["layer"][name], keras[series][step], rtol=0, atol=2e-6, err_msg=name
                )
        np.testing.assert_array_equal(params["still"]["kernel"], 1)


def test_smoothed_losses_are_keras(keras):
    logits, labels = jnp.asarray(keras["logits"], jnp.float32), keras["labels"]
    for smoothing in (0.0, 0.1, 0.4):
        ours = [np.asarray(cross_entropy(logits, jnp.asarray(row), smoothing)) for row in labels]
        np.testing.assert_allclose(ours[0], keras[f"losses/{smoothing}"], rtol=1e-4, atol=1e-6)
        mixed = keras["share"] * ours[0] + (1 - keras["share"]) * ours[1]
        np.testing.assert_allclose(mixed, keras[f"mixed/{smoothing}"], rtol=1e-4, atol=1e-6)


def test_each_block_steps_by_its_own_learning_rate():
    """Adam's first step is the learning rate whatever the gradient: 1, 1/2, 1/4 from the head."""
    model = make_model(trained=("low", "top", "head"))
    params = model.init(0)["params"]
    labels = optim.label_params(model, params)
    for rate in (0.1, lambda count: 0.1 + 0.0 * count):
        optimizer = optim.make_optimizer(rate, labels, blocks=model.blocks, layer_decay=0.5)
        gradients = jax.tree.map(lambda leaf: jnp.full_like(leaf, 3.0), params)
        updates, _ = optimizer.update(gradients, optimizer.init(params), params)
        for name, layers, factor in (
            ("low", updates["backbone"]["low"], 0.25),
            ("top", updates["backbone"]["top"], 0.5),
            ("head", updates["head"], 1.0),
        ):
            for leaf in jax.tree.leaves(layers):
                np.testing.assert_allclose(leaf, -0.1 * factor, rtol=1e-4, err_msg=name)


def test_layer_decay_and_weight_decay_leave_frozen_leaves_without_state():
    model = make_model()
    params = model.init(0)["params"]
    labels = optim.label_params(model, params)
    optimizer = optim.make_optimizer(
        0.1, labels, blocks=model.blocks, layer_decay=0.5, weight_decay=0.1, clip_norm=1.0
    )
    sizes = [leaf.size for leaf in jax.tree.leaves(optimizer.init(params)) if leaf.ndim]
    assert sum(sizes) == 2 * (36 + 28), "two moments of blocks top and head, nothing of low"


def train(batch, *, devices, steps=3, ema=0.0, mixing=None, optimizer=None, **recipe):
    """Some steps on one batch, cut over so many devices; the first copy of the states."""
    model = make_model(noise=0.5)
    variables = model.init(0)
    labels = {"params": optim.label_params(model, variables["params"]), "batch_stats": {}}
    optimizer = optimizer or (lambda labels: optim.make_optimizer(0.01, labels))
    optimizer = optimizer(labels["params"])
    step = make_train_step(
        model,
        optimizer,
        labels["params"],
        GREY,
        augmentation="mid",
        class_weights=WEIGHTS,
        axis_name="batch",
        ema=ema,
        mixing=mixing,
        **recipe,
    )
    start = state.create(variables, optimizer, seed=5)
    if ema:
        start = state.TrainState(
            start.step,
            start.params,
            start.batch_stats,
            start.opt_state,
            start.rng,
            average.start(variables, labels),
        )
    if mixing:
        (batch,) = with_partners([batch], make_split(8, 3), 5, 2)
    return start, *run(step, start, batch, devices, steps)


def run(step, start, batch, devices, steps=3):
    """The states after each step, and the last sums."""
    mapped = jax.pmap(
        step, axis_name="batch", in_axes=(0, 0, None), devices=jax.devices()[:devices]
    )
    copies = jax.tree.map(lambda leaf: np.stack([leaf] * devices), start)
    cut = jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), batch)
    states = []
    for _ in range(steps):
        copies, sums = mapped(copies, cut, 2)
        states.append(jax.tree.map(lambda leaf: np.asarray(leaf)[0], copies))
    return states, jax.tree.map(lambda leaf: np.asarray(leaf)[0], sums)


def batch_of(n, size=8):
    """The first n of eight images, which are so many in a set of eight."""
    split = make_split(8, 3)
    index = np.arange(n, dtype=np.int32)
    rows = (split.images[index], split.labels[index], np.ones(n, np.float32), index)
    fills = (0, 0, 0, -1)
    padded = [
        np.concatenate([row, np.full((size - n, *row.shape[1:]), fill, row.dtype)])
        for row, fill in zip(rows, fills, strict=True)
    ]
    return Batch(*padded)


EVERYTHING = {
    "ema": 0.9,
    "mixing": Mixing(0.4, 1.0),
    "label_smoothing": 0.1,
    "erasing": 0.7,
    "optimizer": lambda labels: optim.make_optimizer(
        lambda count: 0.01 / (1 + count),
        labels,
        blocks=make_model().blocks,
        layer_decay=0.7,
        weight_decay=0.1,
        clip_norm=0.05,
    ),
}


def test_with_everything_off_no_bit_differs_from_the_step_that_knew_nothing_of_it():
    batch = batch_of(7)
    start, states, sums = train(batch, devices=2)
    model = make_model(noise=0.5)
    labels = optim.label_params(model, start.params)
    optimizer = make_plain_optimizer(0.01, labels)
    plain = make_plain_step(model, optimizer, labels, GREY, "mid", WEIGHTS, "batch")
    begin = state.create({"params": start.params, "batch_stats": {}}, optimizer, seed=5)
    others, other_sums = run(plain, begin, batch, 2)
    # What the step says besides is for the watchdog.
    sums = {name: sums[name] for name in other_sums}
    ours, theirs = (states, sums), (others, other_sums)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for one, two in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert one.tobytes() == two.tobytes()


def assert_close(tree, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), tree, other)


def test_with_everything_on_two_devices_train_like_one():
    _, one, sums = train(batch_of(8), devices=1, **EVERYTHING)
    _, two, other = train(batch_of(8), devices=2, **EVERYTHING)
    assert_close(
        ((one[-1].params, one[-1].average), sums), ((two[-1].params, two[-1].average), other)
    )


def test_with_everything_on_padding_does_not_train():
    _, padded, sums = train(batch_of(5), devices=2, **EVERYTHING)
    _, alone, other = train(batch_of(5, size=5), devices=1, **EVERYTHING)
    assert_close((padded[-1].params, sums), (alone[-1].params, other))


def test_with_everything_on_frozen_leaves_keep_every_bit_and_have_no_average():
    start, states, _ = train(batch_of(8), devices=2, **EVERYTHING)
    low = states[-1].params["backbone"]["low"]
    for before, after in zip(
        jax.tree.leaves(start.params["backbone"]["low"]), jax.tree.leaves(low), strict=True
    ):
        assert np.asarray(before).tobytes() == after.tobytes()
    assert not jax.tree.leaves(states[-1].average["params"]["backbone"]["low"])
    shown = average.averaged(states[-1])
    for name in ("kernel", "bias"):
        assert shown.params["backbone"]["low"][name] is low[name]
        averaged = shown.params["head"]["predictions"][name]
        assert (averaged != states[-1].params["head"]["predictions"][name]).all()


def test_each_of_them_changes_the_training():
    """None is passed on to nothing."""
    _, plain, _ = train(batch_of(8), devices=1)
    for name, value in EVERYTHING.items():
        _, states, _ = train(batch_of(8), devices=1, **{name: value})
        shown = average.averaged(states[-1]).params["head"]["predictions"]["kernel"]
        assert (shown != plain[-1].params["head"]["predictions"]["kernel"]).any(), name


def test_the_average_is_tensorflows_formula():
    """Over the very parameters that training without an average goes through."""
    start, plain, _ = train(batch_of(8), devices=1, steps=30)
    _, states, _ = train(batch_of(8), devices=1, steps=30, ema=0.6)
    mean = np.asarray(start.params["head"]["predictions"]["kernel"], np.float64)
    limited = 0
    for number, (one, other) in enumerate(zip(plain, states, strict=True), start=1):
        leaf = one.params["head"]["predictions"]["kernel"]
        assert leaf.tobytes() == other.params["head"]["predictions"]["kernel"].tobytes()
        decay = min(0.6, (1 + number) / (10 + number))
        limited += decay < 0.6
        mean = decay * mean + (1 - decay) * leaf
        averaged = average.averaged(other).params["head"]["predictions"]["kernel"]
        np.testing.assert_allclose(averaged, mean, rtol=1e-5, atol=1e-7)
    assert 5 < limited < 20, "both arms of the minimum"


def test_statistics_are_averaged_where_they_train_and_can_be_replaced():
    variables = {
        "params": {"w": jnp.zeros(2)},
        "batch_stats": {"a": jnp.zeros(1), "b": jnp.ones(1)},
    }
    labels = {"params": {"w": "train"}, "batch_stats": {"a": "train", "b": "freeze"}}
    begin = state.create(variables, optax.identity(), 0)
    begin = average.moved(
        state.TrainState(
            jnp.int32(1),
            {"w": jnp.ones(2)},
            {"a": jnp.full(1, 8.0), "b": jnp.ones(1)},
            (),
            begin.rng,
            average.start(variables, labels),
        ),
        decay=0.9,
    )
    shown = average.averaged(begin)
    np.testing.assert_allclose(shown.params["w"], 9 / 11, rtol=1e-6)
    np.testing.assert_allclose(shown.batch_stats["a"], 8 * 9 / 11, rtol=1e-6)
    np.testing.assert_array_equal(shown.batch_stats["b"], 1)
    fresh = average.with_statistics(begin, {"a": jnp.full(1, 5.0), "b": jnp.ones(1)})
    assert float(average.averaged(fresh).batch_stats["a"][0]) == 5
    np.testing.assert_allclose(average.averaged(fresh).params["w"], 9 / 11, rtol=1e-6)
