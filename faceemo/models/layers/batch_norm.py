"""BatchNorm (Ioffe and Szegedy 2015) as in Keras 3.

Its statistics ignore padding and cover all devices.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.layers.layers import Mode

# Keras's default: the share of a moving statistic that a step keeps.
MOMENTUM = 0.99


class BatchNorm(nn.Module):
    """Keras's BatchNormalization over the last axis of [B, H, W, C].

    Its parameters are float32 `gamma` and `beta` [C]; its statistics, in 'batch_stats', are float32
    `moving_mean` and `moving_variance` [C]. In inference mode it normalises with the moving
    statistics. In training mode it normalises with those of the batch, through which gradients
    flow, and updates the moving ones. As in Keras 3, the moving variance follows the biased one,
    by which the layer also divides (Keras 2 used another on GPUs).

    Attributes:
        epsilon: Small number added to the variance.
        block: Name of the block whose mode the layer has.
        dtype: Type of the result; statistics and arithmetic are at least float32.
    """

    epsilon: float
    block: str
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Normalises [B, H, W, C]."""
        shape = inputs.shape[-1:]
        gamma = self.param("gamma", nn.initializers.ones, shape, jnp.float32)
        beta = self.param("beta", nn.initializers.zeros, shape, jnp.float32)
        moving_mean = self.variable("batch_stats", "moving_mean", jnp.zeros, shape, jnp.float32)
        moving_variance = self.variable(
            "batch_stats", "moving_variance", jnp.ones, shape, jnp.float32
        )
        values = inputs.astype(jnp.promote_types(inputs.dtype, jnp.float32))
        if self.block in mode.training and not mode.moving_statistics:
            mean, variance = compute_moments(values, mode.mask, mode.axis_name)
            moving_mean.value = _update_moving(moving_mean.value, mean)
            moving_variance.value = _update_moving(moving_variance.value, variance)
        else:
            mean, variance = moving_mean.value, moving_variance.value
        scale = gamma * lax.rsqrt(variance + self.epsilon)
        outputs = values * _per_channel(scale) + _per_channel(beta - mean * scale)
        return outputs.astype(self.dtype)


def compute_moments(
    values: jax.Array, mask: jax.Array | None, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    """Computes mean and (biased) variance over the real rows on all devices.

    The squares are those of the deviations from the mean. In a single pass the variance would be
    the difference of two large numbers, which may have no correct digit left.

    Args:
        values: Float array [B, H, W, C]; masked rows are not used, whatever they hold.
        mask: Array [B], 1 for a real row, 0 for padding; None if all are real.
        axis_name: Name of the mapped device axis; None for one device.

    Returns:
        Mean and variance, each [C].
    """

    def total(array: jax.Array) -> jax.Array:
        return array if axis_name is None else lax.psum(array, axis_name)

    def real(array: jax.Array) -> jax.Array:
        return array if mask is None else jnp.where(mask.reshape(-1, 1, 1, 1) > 0, array, 0)

    rows = jnp.asarray(len(values)) if mask is None else mask.sum()
    # At least one, for a batch of nothing but padding.
    count = jnp.maximum(total(rows) * (values.shape[1] * values.shape[2]), 1).astype(values.dtype)
    mean = total(real(values).sum((0, 1, 2))) / count
    squares = lax.square(real(values - _per_channel(mean)))
    return mean, total(squares.sum((0, 1, 2))) / count


def _update_moving(moving: jax.Array, current: jax.Array) -> jax.Array:
    return moving * MOMENTUM + current * (1 - MOMENTUM)


def _per_channel(values: jax.Array) -> jax.Array:
    return values.reshape(1, 1, 1, -1)
