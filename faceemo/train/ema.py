"""A moving average of the parameters, which validates better than where the last step stopped.

Polyak and Juditsky 1992, with exponential decay. The running statistics of BatchNorm are averaged
along, so that they belong to the averaged parameters. Frozen leaves have no average: they never
move.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from faceemo.train.freezing import TRAIN
from faceemo.train.state import TrainState


def init_ema(variables: dict[str, Any], labels: dict[str, Any]) -> dict[str, Any]:
    """The average before the first step: copies of the leaves that train, holes for the others.

    Args:
        variables: {'params', 'batch_stats'}.
        labels: likewise, of `optim.label`.
    """
    trees = {name: variables[name] for name in ("params", "batch_stats")}
    return jax.tree.map(
        lambda name, leaf: jnp.array(leaf) if name == TRAIN else optax.MaskedNode(), labels, trees
    )


def update_ema(state: TrainState, decay: float) -> TrainState:
    """`state` after a step, with the step taken into its average.

    In step t the decay is at most (1 + t) / (10 + t), as in TensorFlow's
    ExponentialMovingAverage: an average that remembers a thousand steps would else remember the
    random head for as long.
    """
    step = state.step.astype(jnp.float32)
    new = 1 - jnp.minimum(decay, (1 + step) / (10 + step))
    average = _map(lambda mean, leaf: mean + new * (leaf - mean), state)
    return dataclasses.replace(state, average=average)


def averaged(state: TrainState) -> TrainState:
    """`state` with the averages in the place of what they average; itself where there are none."""
    if state.average is None:
        return state
    trees = _map(lambda mean, leaf: mean, state, hole=lambda leaf: leaf)
    return dataclasses.replace(state, **trees)


def with_statistics(state: TrainState, batch_stats: Any) -> TrainState:
    """`state` with other BatchNorm statistics, for training as for what is averaged."""
    state = dataclasses.replace(state, batch_stats=batch_stats)
    if state.average is None:
        return state
    # Copies: the step is given the whole state's memory to use, and each array but once.
    fresh = _map(lambda mean, leaf: jnp.copy(leaf), state)["batch_stats"]
    return dataclasses.replace(state, average=state.average | {"batch_stats": fresh})


def _map(function: Any, state: TrainState, hole: Any = lambda leaf: optax.MaskedNode()) -> Any:
    """`function(mean, leaf)` where there is an average, `hole(leaf)` elsewhere."""
    return jax.tree.map(
        lambda mean, leaf: hole(leaf) if _is_hole(mean) else function(mean, leaf),
        state.average,
        {"params": state.params, "batch_stats": state.batch_stats},
        is_leaf=_is_hole,
    )


def _is_hole(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)
