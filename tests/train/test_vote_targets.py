"""Training on votes: the loss by hand, any devices alike, resumed to the bit, known by digest."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.data.augment.mixing import MixedBatch, Mixing
from faceemo.errors import UserError
from faceemo.train import epoch, lr_find
from faceemo.train.checkpoint import recipe_differences
from faceemo.train.checkpoint.provenance import make_recipe
from faceemo.train.distillation import Distillation
from faceemo.train.losses import Target, sum_label_losses
from tests.support.train.processes import assert_identical, results
from tests.support.train.recipe_steps import WEIGHTS, make_batch, make_teacher, train
from tests.support.train.tiny import (
    GREY,
    add_votes,
    make_model,
    make_split,
    make_splits,
    make_start,
    tiny_config,
)
from tests.train import test_feature_cache
from tests.train.test_loop import fit

KINDS = ("distribution", "sampled")
RECIPE = {
    "mixing": Mixing(0.4, 1.0),
    "label_smoothing": 0.1,
    "erasing": 0.7,
    "distillation": Distillation([make_teacher(1)], 0.6, 2.0),
}
RUN = {
    "epochs": 3,
    "patience": 0,
    "checkpoint_every_steps": 2,
    "class_weights": "balanced",
    "label_smoothing": 0.1,
    "mixup": 0.2,
}


def reference(logits, targets, weights, smoothing):
    """Loss and gradient, class by class in float64: sum of q * w * cross-entropy with the class."""
    count = logits.shape[1]
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    p = exponents / exponents.sum(1, keepdims=True)
    total, gradient = 0.0, np.zeros_like(logits)
    for shares, part in targets:
        for image in range(len(logits)):
            for c in range(count):
                smooth = (1 - smoothing) * np.eye(count)[c] + smoothing / count
                factor = part[image] * shares[image, c] * weights[c]
                total -= factor * (smooth * np.log(p[image])).sum()
                gradient[image] += factor * (p[image] - smooth)
    return total, gradient


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_loss_and_gradient_equal_a_computation_by_hand(smoothing):
    """With class weights, two mixed targets and a row of padding."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(6, 4)) * 3
    part = rng.uniform(size=6) * (np.arange(6) < 5)
    pairs = [(rng.dirichlet(np.ones(4), 6), part), (rng.dirichlet(np.ones(4), 6), 1 - part)]
    weights = WEIGHTS.astype(np.float64)
    targets = [
        Target(jnp.zeros(6, jnp.int32), jnp.float32(part), jnp.float32(q)) for q, part in pairs
    ]
    value, gradient = jax.value_and_grad(sum_label_losses)(
        jnp.float32(logits), targets, jnp.asarray(WEIGHTS), smoothing
    )
    expected, slopes = reference(logits, pairs, weights, smoothing)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-5)


def voted_batch(n, shares, size=8):
    """The batch of `make_batch`, and the split that it is from, with `shares` as targets."""
    split = dataclasses.replace(make_split(8, 3), targets=np.float32(shares))
    padded = np.zeros((size, 4), np.float32)
    padded[:n] = split.targets[:n]
    return make_batch(n, size)._replace(targets=padded), split


def assert_close(tree, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), tree, other)


@pytest.mark.slow
def test_one_hot_votes_train_like_labels():
    batch, split = voted_batch(7, np.eye(4)[make_split(8, 3).labels])
    _, states, sums = train(batch, devices=1, split=split, **RECIPE)
    _, others, other_sums = train(make_batch(7), devices=1, **RECIPE)
    assert_close((states[-1].params, sums), (others[-1].params, other_sums))


@pytest.mark.slow
def test_a_loss_with_votes_is_the_mean_of_those_with_labels_by_their_shares():
    """If all images have the same votes; with mixing, smoothing, class weights and a teacher."""
    shares = np.array([0.1, 0.5, 0.0, 0.4])
    batch, split = voted_batch(7, np.tile(shares, (8, 1)))
    _, _, sums = train(batch, devices=1, steps=1, split=split, **RECIPE)
    losses = []
    for label in range(4):
        own = dataclasses.replace(make_split(8, 3), labels=np.full(8, label, np.int32))
        batch = make_batch(7)._replace(labels=own.labels)
        losses.append(train(batch, devices=1, steps=1, split=own, **RECIPE)[2]["loss"])
    assert np.ptp(losses) > 0.1
    np.testing.assert_allclose(sums["loss"], shares @ np.array(losses), rtol=1e-5)


@pytest.mark.slow
def test_two_devices_train_on_votes_like_one():
    batch, split = voted_batch(7, np.random.default_rng(0).dirichlet(np.ones(4), 8))
    _, one, sums = train(batch, devices=1, split=split, **RECIPE)
    _, two, other = train(batch, devices=2, split=split, **RECIPE)
    assert_close((one[-1].params, sums), (two[-1].params, other))


def voted_splits():
    splits = make_splits()
    return splits | {"train": add_votes(splits["train"])}


@pytest.fixture(scope="module")
def without_votes(tmp_path_factory):
    """The history of the run below whose targets are the labels."""
    history, _ = fit(tmp_path_factory.mktemp("labels") / "run", splits=voted_splits(), **RUN)
    return results(history)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_stops_inside_an_epoch_resumes_to_the_bit(
    tmp_path, monkeypatch, without_votes, kind
):
    options = RUN | {"targets": kind}
    straight, _ = fit(tmp_path / "straight", splits=voted_splits(), **options)
    assert results(straight) != without_votes
    shard, seen = epoch.parallel.shard, []

    def stop(batch):
        seen.extend([batch] * isinstance(batch, MixedBatch))  # not those of validation
        if len(seen) == 9:  # the fourth of the second epoch's five
            raise KeyboardInterrupt
        return shard(batch)

    monkeypatch.setattr(epoch.parallel, "shard", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run", splits=voted_splits(), **options)
    again, _ = fit(tmp_path / "run", splits=voted_splits(), **options)
    assert len(seen) == 16, "it went on after the eighth"
    assert results(again) == results(straight)
    assert_identical(tmp_path / "straight", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_cached_features_have_the_targets_of_their_images(tmp_path, kind):
    plain, cached = (
        test_feature_cache.fit(
            tmp_path / field, splits=voted_splits(), cache_features=field, targets=kind
        )
        for field in ("off", "auto")
    )
    assert test_feature_cache.files(tmp_path)
    test_feature_cache.assert_equal_to_rounding(plain, cached)


@pytest.mark.slow
def test_a_range_test_compares_with_the_votes():
    def first_loss(split, kind):
        config = tiny_config(targets=kind)
        return lr_find.range_test(config, make_start(make_model()), split).losses[0]

    split = make_split(70, 0)
    certain = add_votes(split, np.eye(4)[split.labels])
    labels = first_loss(split, "label")
    for kind in KINDS:
        assert first_loss(certain, kind) == pytest.approx(labels, rel=1e-5)
        assert abs(first_loss(add_votes(split), kind) - labels) > 1e-3


def test_training_without_votes_is_refused(tmp_path):
    config = tiny_config(targets="sampled")
    with pytest.raises(UserError, match="no votes"):
        lr_find.range_test(config, make_start(make_model()), make_split(70, 0))
    with pytest.raises(UserError, match="no votes"):
        fit(tmp_path / "run", targets="distribution")


def record(split, kind):
    """A run's record without its configuration."""
    recipe = make_recipe(
        tiny_config(targets=kind), GREY, {"source": "none"}, make_splits() | {"train": split}
    )
    return {name: value for name, value in recipe.items() if name != "config"}


def test_a_record_holds_the_votes_only_if_they_are_targets():
    split = make_split(70, 0)
    voted, others = add_votes(split), add_votes(split, np.full((70, 4), 0.25))
    plain = record(split, "label")
    assert record(voted, "label") == record(voted, "majority") == plain
    for kind in KINDS:
        own, other = record(voted, kind), record(others, kind)
        assert own["data"] == plain["data"]
        assert own == record(add_votes(split), kind)
        assert recipe_differences.describe(own, other, dict) == [
            "other votes on the training images"
        ]
