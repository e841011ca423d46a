"""The step agrees with scikit-learn and does not depend on devices, padding or order."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from faceemo.config import CLASSES
from faceemo.data.pipeline import Split, epoch_batches
from faceemo.train import build_steps, freezing, parallel
from faceemo.train.eval_step import make_eval_step, plain_inputs
from tests.support.train import recipe_steps
from tests.support.train.tiny import GREY, make_model, make_split, tiny_config


def run(batch, *, devices, steps=1, weights=(1, 1, 1, 1), **options):
    """Trains on one batch, cut over `devices`; returns the first state, the last, and its sums."""
    start, states, sums = recipe_steps.train(
        batch, devices=devices, steps=steps, weights=weights, **options
    )
    return start, states[-1], sums


def make_batch(n, size=8):
    return next(epoch_batches(make_split(n, 3), size))


def assert_close(tree, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), tree, other)


@pytest.mark.slow
def test_two_devices_train_like_one():
    batch = make_batch(8)
    _, one, sums = run(batch, devices=1, steps=3)
    _, two, other = run(batch, devices=2, steps=3)
    assert_close((one.params, sums), (two.params, other))


def test_the_step_reuses_the_memory_of_its_state():
    """Parameters, frozen ones included, statistics and moments are in memory only once."""
    model, config = make_model(), tiny_config()
    variables = model.init(0)
    variable_labels = freezing.label_variables(model, variables)
    optimizer = build_steps.build_optimizer(config, 0.01, model, variable_labels)
    train = make_split(70, 0)
    step = build_steps.build_train_step(config, model, optimizer, variable_labels, GREY, train)
    before = parallel.replicate(
        build_steps.build_state(config, variables, optimizer, variable_labels)
    )
    step(before, parallel.shard(make_batch(8)), 0)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))


def test_padding_does_not_train():
    """Compares five images in a batch of eight, one of them alone on its device, with five."""
    _, padded, sums = run(make_batch(5), devices=2)
    _, alone, other = run(make_batch(5, size=5), devices=1)
    assert sums["count"] == 5
    assert_close((padded.params, sums), (alone.params, other))


def test_frozen_leaves_stay_bit_identical_and_trained_ones_move():
    start, end, _ = run(make_batch(8), devices=2, steps=3)
    for before, after in zip(
        jax.tree.leaves(start.params["backbone"]["low"]),
        jax.tree.leaves(end.params["backbone"]["low"]),
        strict=True,
    ):
        assert np.asarray(before).tobytes() == np.asarray(after).tobytes()
    for before, after in zip(
        jax.tree.leaves([start.params["backbone"]["top"], start.params["head"]]),
        jax.tree.leaves([end.params["backbone"]["top"], end.params["head"]]),
        strict=True,
    ):
        assert (np.asarray(before) != np.asarray(after)).any()


def test_weighted_loss_is_divided_by_images_not_by_weights():
    batch, weights = make_batch(7), np.array([0.5, 2.0, 1.0, 3.0])
    start, _, sums = run(
        batch, devices=2, augmentation="none", noise=0.0, weights=tuple(weights.tolist())
    )
    logits = make_eval_step(make_model(), GREY)(start.params, {}, jnp.asarray(batch.images))[:7]
    labels = batch.labels[:7]
    expected = log_loss(
        labels,
        softmax(np.asarray(logits, np.float64), axis=1),
        sample_weight=weights[labels],
        labels=range(4),
    ) * (weights[labels].sum() / 7)
    np.testing.assert_allclose(sums["loss"] / sums["count"], expected, rtol=1e-5)
    assert sums["correct"] == (logits.argmax(-1) == labels).sum()


@pytest.mark.parametrize("devices", [1, 2])
def test_gradient_norm_is_that_of_the_leaves_that_train(devices):
    batch, model = make_batch(7), make_model()
    start, _, sums = run(batch, devices=devices, augmentation="none", noise=0.0)

    def loss(params):
        logits, _ = model.apply(params, {}, plain_inputs(batch.images[:7], model, GREY))
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels[:7]).mean()

    gradients = jax.grad(loss)(start.params)
    whole = optax.global_norm(gradients)
    del gradients["backbone"]["low"]
    np.testing.assert_allclose(sums["gradient_norm"], optax.global_norm(gradients), rtol=1e-5)
    assert sums["gradient_norm"] < whole


def test_balanced_weights_are_scikit_learns():
    split = make_split(50, 0)
    ours = build_steps.compute_class_weights(split, "balanced")
    oracle = compute_class_weight("balanced", classes=np.arange(4), y=split.labels)
    np.testing.assert_allclose(ours, oracle, rtol=1e-6)
    np.testing.assert_array_equal(build_steps.compute_class_weights(split, "none"), 1)


def test_balanced_weights_without_a_class_name_it():
    split = make_split(50, 0)
    keep = split.labels != 2
    part = Split(split.images[keep], split.labels[keep], ())
    with pytest.raises(ValueError, match=CLASSES[2]):
        build_steps.compute_class_weights(part, "balanced")


def test_randomness_comes_from_key_epoch_and_index():
    """The same batch in another order of rows gives the same update."""
    batch = make_batch(8)
    order = np.random.default_rng(0).permutation(8)
    shuffled = jax.tree.map(lambda leaf: leaf[order], batch)
    _, one, _ = run(batch, devices=1)
    _, two, _ = run(shuffled, devices=2)
    assert_close(one.params, two.params)
