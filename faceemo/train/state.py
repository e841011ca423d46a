"""What changes from step to step, and nothing else."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
    """Arrays only; the model and the optimiser are closed over by the step functions.

    Attributes:
        step: int32 scalar, optimiser steps taken.
        params: nested dict of float32 arrays, see `faceemo.models`.
        batch_stats: nested dict of float32 arrays, BatchNorm's running statistics.
        opt_state: of `faceemo.train.freezing.make_optimizer`.
        rng: uint32 [2], the run's PRNG key; never split, only folded.
        average: of `faceemo.train.ema`, or None where nothing is averaged.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    rng: jax.Array
    average: Any = None


def create(
    variables: dict[str, Any], optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(variables["params"]),
        rng=jax.random.PRNGKey(seed),
    )
