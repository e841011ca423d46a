"""BatchNorm (Ioffe and Szegedy 2015) as in Keras 3.

Its statistics ignore padding and cover all devices.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.layers.batch_moments import (
    RealRows,
    compute_moments,
    normalize,
    normalize_by_own_moments,
    scale_and_shift,
)
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

    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Normalises [B, H, W, C]."""
        gamma, beta, moving_mean, moving_variance = self._declare(inputs.shape[-1])
        if self.block in mode.training and not mode.moving_statistics:
            rows = RealRows(mode.mask, mode.axis_name)
            mean, variance = compute_moments(lax.stop_gradient(inputs), rows)
            outputs = normalize_by_own_moments(
                inputs, gamma, beta, mean, variance, self.epsilon, rows
            )
            moving_mean.value = _update_moving(moving_mean.value, mean)
            moving_variance.value = _update_moving(moving_variance.value, variance)
        else:
            mean, variance = moving_mean.value, moving_variance.value
            outputs = normalize(inputs, gamma, beta, mean, variance, self.epsilon)
        return outputs.astype(self.dtype)

    def moving_scale_and_shift(self, channels: int) -> tuple[jax.Array, jax.Array]:
        """Returns what it multiplies by and then adds, by its moving statistics.

        Args:
            channels: Number of channels of the inputs.

        Returns:
            Scale and shift, float32 [channels].
        """
        gamma, beta, mean, variance = self._declare(channels)
        return scale_and_shift(gamma, beta, mean.value, variance.value, self.epsilon)

    @nn.compact
    def _declare(self, channels: int) -> tuple[jax.Array, jax.Array, nn.Variable, nn.Variable]:
        """Returns gamma, beta, and the variables of mean and variance, each [channels]."""
        shape = (channels,)
        gamma = self.param("gamma", nn.initializers.ones, shape, jnp.float32)
        beta = self.param("beta", nn.initializers.zeros, shape, jnp.float32)
        mean = self.variable("batch_stats", "moving_mean", jnp.zeros, shape, jnp.float32)
        variance = self.variable("batch_stats", "moving_variance", jnp.ones, shape, jnp.float32)
        return gamma, beta, mean, variance


def _update_moving(moving: jax.Array, current: jax.Array) -> jax.Array:
    return moving * MOMENTUM + current * (1 - MOMENTUM)
