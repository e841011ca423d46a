"""The optimiser and the plan follow the labels of the freeze tree."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from faceemo.models import Block
from faceemo.train import freezing
from tests.support.train.tiny import make_model

MODEL = make_model()
PARAMS = MODEL.init(0)["params"]
PARAM_LABELS = freezing.label_params(MODEL, PARAMS)


def gradients():
    return jax.tree.map(jnp.ones_like, PARAMS)


def test_labels_follow_the_trained_blocks():
    assert PARAM_LABELS["backbone"]["low"] == {"kernel": "freeze", "bias": "freeze"}
    assert PARAM_LABELS["backbone"]["top"] == {"kernel": "train", "bias": "train"}
    assert PARAM_LABELS["head"]["predictions"] == {"kernel": "train", "bias": "train"}


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (MODEL.blocks[1:], "low/kernel.*no block"),
        ((*MODEL.blocks, Block("again", "head/.*")), "head/predictions/kernel.*again"),
    ],
)
def test_a_leaf_that_is_not_in_exactly_one_block_is_an_error(blocks, message):
    with pytest.raises(ValueError, match=message):
        freezing.label_leaves(blocks, MODEL.trained, PARAMS)


def test_a_block_without_parameters_is_an_error():
    model = make_model()
    model.blocks = (*model.blocks, Block("ghost", "backbone/ghost/.*"))
    with pytest.raises(ValueError, match="ghost"):
        freezing.label_params(model, PARAMS)


def test_an_unknown_trained_block_is_an_error():
    with pytest.raises(ValueError, match="tpo"):
        freezing.label_params(make_model(trained=("tpo", "head")), PARAMS)


def test_adam_moves_leaves_that_train_and_has_no_state_for_others():
    optimizer = freezing.make_optimizer(0.1, PARAM_LABELS)
    state = optimizer.init(PARAMS)
    trained = sum(
        leaf.size
        for leaf, name in zip(jax.tree.leaves(PARAMS), jax.tree.leaves(PARAM_LABELS), strict=True)
        if name == "train"
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 2 * trained + 1  # and a counter
    updates, _ = optimizer.update(gradients(), state, PARAMS)
    moved = jax.tree.map(lambda leaf: bool((leaf != 0).all()), updates)
    assert moved == jax.tree.map(lambda name: name == "train", PARAM_LABELS)


def test_adams_epsilon_is_where_keras_has_it():
    """Compares step 1 with a computation by hand.

    It is lr * sqrt(1 - b2) * g / (sqrt(1 - b2) * g + eps), for a g as small as eps.

    optax's own Adam would give 0.5; tests/models/test_adam_step.py compares with Keras itself.
    """
    optimizer = freezing.make_optimizer(1.0, PARAM_LABELS)
    tiny = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1e-7), PARAMS)
    updates, _ = optimizer.update(tiny, optimizer.init(PARAMS), PARAMS)
    root = np.sqrt(0.001)
    np.testing.assert_allclose(
        updates["head"]["predictions"]["bias"], -root / (root + 1), rtol=1e-3
    )


def test_map_trained_leaves_even_the_sign_of_zero():
    params = {"a": jnp.array([-0.0]), "b": jnp.array([-0.0])}
    param_labels = {"a": "freeze", "b": "train"}
    zeros = jax.tree.map(jnp.zeros_like, params)
    result = freezing.map_trained(jnp.add, param_labels, params, zeros)
    assert np.signbit(result["a"]).all()
    assert not np.signbit(result["b"]).any()
    assert not np.signbit(optax.apply_updates(params, zeros)["a"]).any(), "the reason for it"


def test_the_plan_counts_every_parameter_once():
    rows = freezing.make_plan(MODEL, PARAMS, {"backbone": {"top": {"mean": jnp.zeros(6)}}})
    assert [(row["block"], row["trained"], row["frozen"]) for row in rows] == [
        ("low", 0, 65),
        ("top", 36, 0),
        ("head", 28, 0),
    ]
    assert [row["batch_norm"] for row in rows] == ["-", "batch statistics", "-"]
    assert freezing.format_plan(rows).splitlines()[-1].split() == ["total", "64", "65"]


def test_the_audit_finds_a_single_flipped_bit_in_a_frozen_leaf():
    after = jax.tree.map(lambda leaf: np.array(leaf + 1), PARAMS)
    after["backbone"]["low"] = jax.tree.map(np.array, PARAMS["backbone"]["low"])
    assert "trained: 4, 4 of which changed" in freezing.audit(PARAM_LABELS, PARAMS, after)
    after["backbone"]["low"]["bias"][3] = -0.0
    with pytest.raises(RuntimeError, match=r"1 of 2 frozen leaves changed .*: backbone/low/bias$"):
        freezing.audit(PARAM_LABELS, PARAMS, after)


def test_the_audit_names_trained_leaves_that_did_not_move():
    after = jax.tree.map(lambda leaf: np.array(leaf + 1), PARAMS)
    after["backbone"]["low"] = PARAMS["backbone"]["low"]
    after["head"]["predictions"]["bias"] = PARAMS["head"]["predictions"]["bias"]
    assert freezing.audit(PARAM_LABELS, PARAMS, after).endswith(
        "trained: 4, 3 of which changed (unchanged: head/predictions/bias)"
    )
