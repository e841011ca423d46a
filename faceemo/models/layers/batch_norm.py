"""BatchNorm (Ioffe and Szegedy 2015) as Keras 3 has it, over real rows and all devices only."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.layers.layers import Mode

# Keras's default: how much of a moving statistic a step leaves.
MOMENTUM = 0.99


class BatchNorm(nn.Module):
    """Keras's BatchNormalization over the last axis of [B, H, W, C].

    Parameters float32 `gamma` and `beta` [C]; in 'batch_stats', float32 `moving_mean` and
    `moving_variance` [C]. In inference mode the moving statistics normalise. In training mode the
    batch's do, gradients flow through them, and they move the moving ones. Keras 3 moves by the
    variance that it divides by, the biased one (Keras 2 had another on GPUs).

    Attributes:
        epsilon: added to the variance.
        block: the layer is in training mode where this block is.
        dtype: of the result; statistics and arithmetic are float32 even where this is less.
    """

    epsilon: float
    block: str
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """[B, H, W, C] -> [B, H, W, C]."""
        shape = inputs.shape[-1:]
        gamma = self.param("gamma", nn.initializers.ones, shape, jnp.float32)
        beta = self.param("beta", nn.initializers.zeros, shape, jnp.float32)
        moving_mean = self.variable("batch_stats", "moving_mean", jnp.zeros, shape, jnp.float32)
        moving_variance = self.variable(
            "batch_stats", "moving_variance", jnp.ones, shape, jnp.float32
        )
        values = inputs.astype(jnp.promote_types(inputs.dtype, jnp.float32))
        if self.block in mode.training and not mode.moving_statistics:
            mean, variance = moments(values, mode.mask, mode.axis_name)
            moving_mean.value = _moved(moving_mean.value, mean)
            moving_variance.value = _moved(moving_variance.value, variance)
        else:
            mean, variance = moving_mean.value, moving_variance.value
        scale = gamma * lax.rsqrt(variance + self.epsilon)
        outputs = values * _spread(scale) + _spread(beta - mean * scale)
        return outputs.astype(self.dtype)


def moments(
    values: jax.Array, mask: jax.Array | None, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    """Mean and (biased) variance [C] of the real rows on all devices.

    The mean comes first and the squares are of what is left without it: the difference of two large
    numbers, as which a variance can be had in one go, may have no right digit left.

    Args:
        values: float [B, H, W, C]; not used where masked out, whatever it is.
        mask: [B], 1 for a real row, 0 for padding; None if all are real.
        axis_name: of the mapped device axis; None for one device.
    """

    def total(array: jax.Array) -> jax.Array:
        return array if axis_name is None else lax.psum(array, axis_name)

    def real(array: jax.Array) -> jax.Array:
        return array if mask is None else jnp.where(mask.reshape(-1, 1, 1, 1) > 0, array, 0)

    rows = jnp.asarray(len(values)) if mask is None else mask.sum()
    # At least one, for a batch of nothing but padding.
    count = jnp.maximum(total(rows) * (values.shape[1] * values.shape[2]), 1).astype(values.dtype)
    mean = total(real(values).sum((0, 1, 2))) / count
    squares = lax.square(real(values - _spread(mean)))
    return mean, total(squares.sum((0, 1, 2))) / count


def _moved(moving: jax.Array, current: jax.Array) -> jax.Array:
    return moving * MOMENTUM + current * (1 - MOMENTUM)


def _spread(per_channel: jax.Array) -> jax.Array:
    return per_channel.reshape(1, 1, 1, -1)
