"""Layers with Keras's numbers, and the record that controls a forward pass."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from faceemo.models.layers.convolution import convolve, convolve_depthwise
from faceemo.models.layers.matmul import matmul
from faceemo.models.layers.padding import Padding

# Keras's default for kernels (JAX counts a convolution's fans as Keras does); biases begin at zero.
glorot_uniform = nn.initializers.glorot_uniform()


@dataclasses.dataclass(frozen=True)
class Mode:
    """Mode of a forward pass. The default is inference.

    Attributes:
        training: Names of the blocks in training mode. The others behave as in inference:
            BatchNorm with its moving statistics, no dropout.
        mask: Float32 [B], 1 for a real row and 0 for padding, which is left out of all statistics;
            None if all rows are real.
        keys: PRNG keys [B], one per example, so that an example's dropout does not depend on its
            device or batch. None turns dropout off.
        axis_name: Name of the mapped device axis over which statistics are summed; None for no
            such axis.
        moving_statistics: True if BatchNorm uses its moving statistics, and leaves them unchanged,
            even in blocks in training mode.
    """

    training: frozenset[str] = frozenset()
    mask: jax.Array | None = None
    keys: jax.Array | None = None
    axis_name: str | None = None
    moving_statistics: bool = False


class Conv(nn.Module):
    """Keras's Conv2D: parameters float32 `kernel` [kh, kw, C, features] and `bias` [features].

    Attributes:
        features: Number of output channels.
        kernel_size: Height and width of the kernel.
        strides: Steps of the window, down and across.
        padding: 'SAME' or 'VALID' as in Keras, or numbers of zeros: ((1, 1), (1, 1)).
        use_bias: True if the layer has a bias.
        kernel_init: Initializer of the kernel.
        dtype: Type of the computation and of the result.
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
        """Convolves [B, H, W, C] to [B, H', W', features]."""
        shape = (*self.kernel_size, inputs.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        outputs = convolve(
            inputs.astype(self.dtype), kernel.astype(self.dtype), self.strides, self.padding
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            outputs = _add_bias(outputs, bias)
        return outputs


class DepthwiseConv(nn.Module):
    """Keras's DepthwiseConv2D without bias: parameter float32 `kernel` [kh, kw, C, 1].

    Attributes:
        kernel_size: Height and width of the kernel.
        strides: Steps of the window, down and across.
        padding: As in `Conv`.
        kernel_init: Initializer of the kernel.
        dtype: Type of the computation and of the result.
    """

    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: Padding = "SAME"
    kernel_init: nn.initializers.Initializer = glorot_uniform
    dtype: jnp.dtype = jnp.dtype("float32")

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Convolves [B, H, W, C] to [B, H', W', C]."""
        kernel = self.make_kernel(inputs.shape[-1])
        return convolve_depthwise(inputs.astype(self.dtype), kernel, self.strides, self.padding)

    @nn.compact
    def make_kernel(self, channels: int) -> jax.Array:
        """Returns the kernel [kh, kw, channels, 1] in the layer's dtype."""
        shape = (*self.kernel_size, channels, 1)
        return self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)


class Dense(nn.Module):
    """Keras's Dense: parameters float32 `kernel` [C, features] and `bias` [features].

    Attributes:
        features: Width of the result.
        dtype: Type of the computation and of the result.
    """

    features: int
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Maps [B, C] to [B, features]."""
        shape = (inputs.shape[-1], self.features)
        kernel = self.param("kernel", glorot_uniform, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        outputs = matmul(inputs.astype(self.dtype), kernel.astype(self.dtype))
        return _add_bias(outputs, bias)


def _add_bias(outputs: jax.Array, bias: jax.Array) -> jax.Array:
    """Adds a float32 bias [C] to [..., C] and rounds to the type of `outputs`.

    The gradient of the bias is then a sum in float32. On CPUs XLA takes many times as long for such
    a sum in bfloat16: 25 ms for 18,432 x 256 (jax 0.10.2, 2 cores).
    """
    wide = jnp.promote_types(outputs.dtype, bias.dtype)
    beside = bias.astype(wide).reshape((1,) * (outputs.ndim - 1) + (-1,))
    return (outputs.astype(wide) + beside).astype(outputs.dtype)


class IdentityBackbone(nn.Module):
    """The backbone of a network whose inputs are features already."""

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Returns the inputs."""
        del mode  # the same in training and in inference
        return inputs


def dropout(
    inputs: jax.Array, rate: float, keys: jax.Array, place: int, *, whole: bool = False
) -> jax.Array:
    """Zeroes each value with probability `rate` and scales the rest by 1 / (1 - rate).

    Args:
        inputs: Array [B, ...].
        rate: Probability, from 0 to below 1.
        keys: PRNG keys [B], one per example.
        place: Number of this dropout in the network, so that no two draw the same values.
        whole: True if an example is zeroed as a whole or not at all (stochastic depth).
    """
    shape = (1,) * (inputs.ndim - 1) if whole else inputs.shape[1:]

    def draw_mask(key: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, place), 1 - rate, shape)

    return jnp.where(jax.vmap(draw_mask)(keys), inputs / (1 - rate), 0).astype(inputs.dtype)
