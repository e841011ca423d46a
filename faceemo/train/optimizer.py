"""Adam and AdamW as Keras has them, to the last digit."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

# A learning rate, or what gives it from the number of steps taken before: int32 to float32 scalar.
Rate = float | Callable[[jax.Array], jax.Array]


def keras_adam(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-7,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Adam (Kingma and Ba 2015) in the order of the remark at the end of the paper's section 2.

    With `weight_decay` it is AdamW (Loshchilov and Hutter 2019): the decay does not pass through
    the moments.

    Keras adds epsilon to the root of the second moment before that is corrected for its start at
    zero, optax after. In optax's terms Keras's epsilon is eps / sqrt(1 - b2**step): 32 times as
    large in the first step, the same after some thousands. With gradients near 1e-6 they differ by
    percents.

    Args:
        learning_rate: factor of every step.
        b1: decay of the mean of gradients.
        b2: decay of the mean of their squares.
        eps: added to the root of the mean square.
        weight_decay: times the learning rate, the share of each parameter that a step takes away.
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
