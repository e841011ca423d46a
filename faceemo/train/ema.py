"""An exponential moving average of the parameters.

It usually does better on validation than the parameters of the last step. The idea is Polyak and
Juditsky's (1992). BatchNorm's running statistics are averaged too, so that they belong to the
averaged parameters. Frozen leaves have no average: they never change.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from faceemo.train.freezing import TRAIN
from faceemo.train.state import TrainState


def init_ema(variables: dict[str, Any], variable_labels: dict[str, Any]) -> dict[str, Any]:
    """Makes the average before the first step.

    Args:
        variables: Initial {'params', 'batch_stats'}.
        variable_labels: Trees like `variables` whose leaves are 'train' or 'freeze', see
            `freezing.label_variables`.

    Returns:
        Trees like `variables`, with copies of the leaves that train and `optax.MaskedNode()` in
        place of the others.
    """
    trees = {name: variables[name] for name in ("params", "batch_stats")}
    return jax.tree.map(
        lambda label, leaf: jnp.array(leaf) if label == TRAIN else optax.MaskedNode(),
        variable_labels,
        trees,
    )


def update_ema(state: TrainState, decay: float) -> TrainState:
    """Updates the average with the variables after a step.

    In step t the decay is at most (1 + t) / (10 + t), as in TensorFlow's
    ExponentialMovingAverage: otherwise an average over a thousand steps would contain the random
    initial head for as long.
    """
    step = state.step.astype(jnp.float32)
    new = 1 - jnp.minimum(decay, (1 + step) / (10 + step))
    average = _map(lambda mean, leaf: mean + new * (leaf - mean), state)
    return dataclasses.replace(state, average=average)


def use_ema(state: TrainState) -> TrainState:
    """Puts the averages in place of the variables; a state without averages stays as it is."""
    if state.average is None:
        return state
    trees = _map(lambda mean, leaf: mean, state, masked=lambda leaf: leaf)
    return dataclasses.replace(state, **trees)


def replace_batch_stats(state: TrainState, batch_stats: Any) -> TrainState:
    """Replaces BatchNorm's statistics, those in the average included."""
    state = dataclasses.replace(state, batch_stats=batch_stats)
    if state.average is None:
        return state
    # Copies, because the step reuses the state's memory and takes each array only once.
    copies = _map(lambda mean, leaf: jnp.copy(leaf), state)["batch_stats"]
    return dataclasses.replace(state, average=state.average | {"batch_stats": copies})


def _map(function: Any, state: TrainState, masked: Any = lambda leaf: optax.MaskedNode()) -> Any:
    """Returns `function(mean, leaf)` for averaged leaves and `masked(leaf)` for the others."""
    return jax.tree.map(
        lambda mean, leaf: masked(leaf) if _is_masked(mean) else function(mean, leaf),
        state.average,
        {"params": state.params, "batch_stats": state.batch_stats},
        is_leaf=_is_masked,
    )


def _is_masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)
