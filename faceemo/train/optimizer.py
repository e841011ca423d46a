"""Adam and AdamW exactly as in Keras, and the learning rate over a run."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from faceemo.config import warmup_epochs

# A learning rate, or a function from the number of steps already taken (int32) to it (float32).
Rate = float | Callable[[jax.Array], jax.Array]


def keras_adam(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-7,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Makes Adam (Kingma and Ba 2015) in the order of the remark at the end of their section 2.

    With `weight_decay` it is AdamW (Loshchilov and Hutter 2019): the decay does not pass through
    the moments.

    Keras adds epsilon to the root of the second moment before that is corrected for its start at
    zero, optax after. In optax's terms Keras's epsilon is eps / sqrt(1 - b2**step): 32 times as
    large in the first step, the same after some thousands. With gradients near 1e-6 the two differ
    by several percent.

    Args:
        learning_rate: Factor of every step.
        b1: Decay of the mean of gradients.
        b2: Decay of the mean of squared gradients.
        eps: Number added to the root of the mean square.
        weight_decay: Share of each parameter, times the learning rate, that a step subtracts.
    """

    def init(params: optax.Params) -> optax.ScaleByAdamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), zeros, zeros)

    def update(
        updates: optax.Updates, state: optax.ScaleByAdamState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        count = state.count + 1
        factor = learning_rate(state.count) if callable(learning_rate) else learning_rate
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, updates)
        steps = count.astype(jnp.promote_types(float, jnp.float32))
        rate = factor * jnp.sqrt(1 - b2**steps) / (1 - b1**steps)
        moves = jax.tree.map(
            lambda m, v: -rate.astype(m.dtype) * m / (jnp.sqrt(v) + eps), mean, square
        )
        if weight_decay:
            moves = jax.tree.map(
                lambda move, leaf: move - jnp.asarray(factor * weight_decay, leaf.dtype) * leaf,
                moves,
                params,
            )
        return moves, optax.ScaleByAdamState(count, mean, square)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def make_schedule(config: ConfigDict, steps: int) -> Rate:
    """Makes the learning rate of a run: constant, or warmed up, or lowered along a cosine, or both.

    Warm-up (Goyal et al. 2017) rises in a straight line, from learning_rate / n in the first of its
    n steps, so that none is idle, to learning_rate in the last. The cosine (Loshchilov and Hutter
    2017, without restarts) falls from there and would reach zero in the step after the run's last.

    Args:
        config: A configuration with learning_rate, schedule, warmup_epochs and epochs.
        steps: Steps per epoch.

    Returns:
        The learning rate itself if it is constant, otherwise a function, see `Rate`.
    """
    peak, total = config.learning_rate, config.epochs * steps
    warmup = min(round(warmup_epochs(config) * steps), total - 1)
    if config.schedule == "constant":
        if not warmup:
            return peak
        return optax.warmup_constant_schedule(peak / warmup, peak, warmup - 1)
    if not warmup:
        return optax.cosine_decay_schedule(peak, total)
    return optax.warmup_cosine_decay_schedule(peak / warmup, peak, warmup - 1, total)
