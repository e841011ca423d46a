"""The arrays that training changes from step to step."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
    """The state of a run, arrays alone; the steps close over the model and the optimiser.

    Attributes:
        step: int32 scalar, number of optimiser steps taken.
        params: Nested dict of float32 arrays, see `faceemo.models`.
        batch_stats: Nested dict of float32 arrays, BatchNorm's running statistics.
        opt_state: The optimiser's state, see `faceemo.train.freezing.make_optimizer`.
        rng: uint32 [2], the run's PRNG key; never split, only folded.
        average: Moving averages, see `faceemo.train.ema`, or None if the run keeps none.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    rng: jax.Array
    average: Any = None

    @classmethod
    def create(
        cls,
        variables: dict[str, Any],
        optimizer: optax.GradientTransformation,
        seed: int,
        average: Any = None,
    ) -> "TrainState":
        """Makes the state before the first step."""
        return cls(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(variables["params"]),
            rng=jax.random.PRNGKey(seed),
            average=average,
        )
