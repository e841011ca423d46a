"""Layers that compute what Keras's compute, and the one record that steers a forward pass."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from faceemo.models.layers.convolution import Padding, convolve, convolve_depthwise
from faceemo.models.layers.matmul import product

# Keras's defaults: Glorot's uniform distribution for kernels (JAX counts a convolution's fans as
# Keras does), zeros for biases.
glorot_uniform = nn.initializers.glorot_uniform()


@dataclasses.dataclass(frozen=True)
class Mode:
    """How a forward pass runs. The default is inference.

    Attributes:
        training: names of the blocks in training mode. The others behave as in inference:
            BatchNorm with its running statistics, no dropout.
        mask: float32 [B], 1 for a real row and 0 for padding, which no statistic may see; None if
            all rows are real.
        keys: PRNG keys [B], one per example, so that an example's dropout does not depend on which
            device or batch it is in. None leaves dropout out.
        axis_name: of the mapped device axis that statistics are summed over; None for no such axis.
        moving_statistics: BatchNorm uses and keeps its moving statistics also where a block is in
            training mode.
    """

    training: frozenset[str] = frozenset()
    mask: jax.Array | None = None
    keys: jax.Array | None = None
    axis_name: str | None = None
    moving_statistics: bool = False


class Conv(nn.Module):
    """Keras's Conv2D: parameters float32 `kernel` [kh, kw, C, features] and `bias` [features].

    Attributes:
        features: channels that come out.
        kernel_size: height and width.
        strides: of the window, down and across.
        padding: 'SAME' or 'VALID', as Keras means them, or zeros around: ((1, 1), (1, 1)).
        use_bias: whether there is a bias.
        kernel_init: draws the initial kernel.
        dtype: of the computation and the result.
    """

    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = glorot_uniform
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H', W', features]."""
        shape = (*self.kernel_size, inputs.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        outputs = convolve(
            inputs.astype(self.dtype), kernel.astype(self.dtype), self.strides, self.padding
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            outputs += bias.astype(self.dtype).reshape(1, 1, 1, -1)
        return outputs


class DepthwiseConv(nn.Module):
    """Keras's DepthwiseConv2D, 'same', without bias: parameter float32 `kernel` [kh, kw, C, 1].

    Attributes:
        kernel_size: height and width.
        strides: of the window, down and across.
        kernel_init: draws the initial kernel.
        dtype: of the computation and the result.
    """

    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    kernel_init: nn.initializers.Initializer = glorot_uniform
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H', W', C]."""
        shape = (*self.kernel_size, inputs.shape[-1], 1)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        return convolve_depthwise(
            inputs.astype(self.dtype), kernel.astype(self.dtype), self.strides
        )


class Dense(nn.Module):
    """Keras's Dense: parameters float32 `kernel` [C, features] and `bias` [features].

    Attributes:
        features: width of the result.
        dtype: of the computation and the result.
    """

    features: int
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """[B, C] -> [B, features]."""
        shape = (inputs.shape[-1], self.features)
        kernel = self.param("kernel", glorot_uniform, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        outputs = product(inputs.astype(self.dtype), kernel.astype(self.dtype))
        return outputs + bias.astype(self.dtype).reshape(1, -1)


class Given(nn.Module):
    """The trunk of a network whose inputs are features already."""

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """The inputs themselves."""
        del mode  # the same in training and in inference
        return inputs


def dropout(
    inputs: jax.Array, rate: float, keys: jax.Array, place: int, *, whole: bool = False
) -> jax.Array:
    """Zeroes each value with probability `rate` and scales the rest by 1 / (1 - rate).

    Args:
        inputs: [B, ...].
        rate: from 0 to below 1.
        keys: PRNG keys [B], one per example.
        place: number of this dropout in the network, so that no two draw the same.
        whole: an example is zeroed whole or not at all (stochastic depth).
    """
    shape = (1,) * (inputs.ndim - 1) if whole else inputs.shape[1:]

    def kept(key: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, place), 1 - rate, shape)

    return jnp.where(jax.vmap(kept)(keys), inputs / (1 - rate), 0).astype(inputs.dtype)
