"""All options off: the step equals the plain one to the bit; all on: any devices train alike."""

import jax
import numpy as np
import pytest

from faceemo.data.augment.mixing import Mixing
from faceemo.train import ema, freezing
from faceemo.train.distillation import Distillation
from faceemo.train.state import TrainState
from tests.support.train.plain_step import make_plain_optimizer, make_plain_step
from tests.support.train.recipe_steps import WEIGHTS, make_batch, make_teacher, run, train
from tests.support.train.tiny import GREY, make_model

pytestmark = pytest.mark.slow

EVERYTHING = {
    "ema": 0.9,
    "mixing": Mixing(0.4, 1.0),
    "label_smoothing": 0.1,
    "erasing": 0.7,
    "distillation": Distillation([make_teacher(1), make_teacher(2, size=48)], 0.6, 2.0),
    "optimizer": lambda param_labels: freezing.make_optimizer(
        lambda count: 0.01 / (1 + count),
        param_labels,
        blocks=make_model().blocks,
        layer_decay=0.7,
        weight_decay=0.1,
        clip_norm=0.05,
    ),
}


def test_with_everything_off_the_step_equals_the_plain_one_to_the_bit():
    batch = make_batch(7)
    start, states, sums = train(batch, devices=2)
    model = make_model(noise=0.5)
    param_labels = freezing.label_params(model, start.params)
    optimizer = make_plain_optimizer(0.01, param_labels)
    plain = make_plain_step(model, optimizer, param_labels, GREY, "mid", WEIGHTS, "batch")
    begin = TrainState.create({"params": start.params, "batch_stats": {}}, optimizer, seed=5)
    others, other_sums = run(plain, begin, batch, 2)
    # The other sums are for the watchdog.
    sums = {name: sums[name] for name in other_sums}
    ours, theirs = (states, sums), (others, other_sums)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for one, two in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert one.tobytes() == two.tobytes()


def assert_close(tree, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), tree, other)


def test_with_everything_on_two_devices_train_like_one():
    _, one, sums = train(make_batch(8), devices=1, **EVERYTHING)
    _, two, other = train(make_batch(8), devices=2, **EVERYTHING)
    assert_close(
        ((one[-1].params, one[-1].average), sums), ((two[-1].params, two[-1].average), other)
    )


def test_with_everything_on_padding_does_not_train():
    _, padded, sums = train(make_batch(5), devices=2, **EVERYTHING)
    _, alone, other = train(make_batch(5, size=5), devices=1, **EVERYTHING)
    assert_close((padded[-1].params, sums), (alone[-1].params, other))


def test_with_everything_on_frozen_leaves_keep_every_bit_and_have_no_average():
    start, states, _ = train(make_batch(8), devices=2, **EVERYTHING)
    low = states[-1].params["backbone"]["low"]
    for before, after in zip(
        jax.tree.leaves(start.params["backbone"]["low"]), jax.tree.leaves(low), strict=True
    ):
        assert np.asarray(before).tobytes() == after.tobytes()
    assert not jax.tree.leaves(states[-1].average["params"]["backbone"]["low"])
    shown = ema.use_ema(states[-1])
    for name in ("kernel", "bias"):
        assert shown.params["backbone"]["low"][name] is low[name]
        averaged = shown.params["head"]["predictions"][name]
        assert (averaged != states[-1].params["head"]["predictions"][name]).all()


def test_each_option_changes_the_training():
    """None is ignored."""
    _, plain, _ = train(make_batch(8), devices=1)
    for name, value in EVERYTHING.items():
        _, states, _ = train(make_batch(8), devices=1, **{name: value})
        shown = ema.use_ema(states[-1]).params["head"]["predictions"]["kernel"]
        assert (shown != plain[-1].params["head"]["predictions"]["kernel"]).any(), name
