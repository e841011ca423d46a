"""Convolutions, in whichever formulation is fastest where the program runs.

XLA's native convolution is the right one on GPUs and TPUs. On CPUs it is slow at three kinds
(jax 0.10.2, 2 cores, batch 32): a 1x1 convolution is faster as a product of matrices (with its
gradients 1.5 to 5 times at 96 px), a depthwise one as a sum of shifted products (forward 15 to 60
times at 96 px), and the gradient of a kernel over many positions as a product with patches (2 to 6
times at 48 and 96 px; from 12 px down native is as fast). What stays native is as fast as the
alternatives tried: a product per kernel position, gathered patches, Winograd's transforms. All
formulations compute the same numbers up to rounding.
"""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.depthwise import depthwise_by_shifts

# 'SAME' or 'VALID', as Keras means them, or zeros around: ((top, bottom), (left, right)).
Padding = str | Sequence[tuple[int, int]]
_Pads = tuple[tuple[int, int], ...]
_LAYOUT = ("NHWC", "HWIO", "NHWC")
# From so many positions of the result on, the gradient of the kernel is had from patches.
_MANY = 400


def convolve(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    """Convolution [B, H, W, C] x [kh, kw, C, D] -> [B, H', W', D], of whatever dtype both have."""
    if not on_cpu():
        return _native(inputs, kernel, strides, padding)
    # A 1x1 window needs no padding, so that 'SAME' and 'VALID' are one.
    if kernel.shape[:2] == (1, 1) and isinstance(padding, str):
        inputs = inputs[:, :: strides[0], :: strides[1]]
        outputs = inputs.reshape(-1, inputs.shape[-1]) @ kernel[0, 0]
        return outputs.reshape(*inputs.shape[:-1], -1)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], strides, padding)
    return _with_patches(inputs, kernel, strides, tuple(map(tuple, padding)))


def convolve_depthwise(inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> jax.Array:
    """Each channel with its own kernel, 'SAME': [B, H, W, C] x [kh, kw, C, 1] -> [B, H', W', C]."""
    if on_cpu():
        return depthwise_by_shifts(inputs, kernel, strides)
    return lax.conv_general_dilated(
        inputs,
        kernel.reshape(*kernel.shape[:2], 1, -1),
        strides,
        "SAME",
        dimension_numbers=_LAYOUT,
        feature_group_count=inputs.shape[-1],
    )


def on_cpu() -> bool:
    """Whether programs are compiled for the CPU."""
    return jax.default_backend() == "cpu"


def _native(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    return lax.conv_general_dilated(inputs, kernel, strides, padding, dimension_numbers=_LAYOUT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _with_patches(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: _Pads
) -> jax.Array:
    """Native, but for the gradient of the kernel."""
    return _native(inputs, kernel, strides, padding)


def _forward(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: _Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _native(inputs, kernel, strides, padding), (inputs, kernel)


def _backward(
    strides: tuple[int, int],
    padding: _Pads,
    saved: tuple[jax.Array, jax.Array],
    gradient: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = saved
    # Linear in each, so that XLA drops the forward pass, and what nobody asks for.
    _, pull = jax.vjp(lambda x, k: _native(x, k, strides, padding), inputs, kernel)
    to_inputs, to_kernel = pull(gradient)
    if gradient.shape[1] * gradient.shape[2] >= _MANY:
        to_kernel = _gradient_of_kernel(inputs, kernel, strides, padding, gradient)
    return to_inputs, to_kernel


_with_patches.defvjp(_forward, _backward)


def _gradient_of_kernel(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: _Pads,
    gradient: jax.Array,
) -> jax.Array:
    """Image after image, so that the patches of one stay in the cache: one product each."""
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    height, width = gradient.shape[1:3]
    positions = list(itertools.product(range(kernel.shape[0]), range(kernel.shape[1])))
    wide = jnp.promote_types(gradient.dtype, jnp.float32)

    def add(total: jax.Array, image: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        values, weights = image
        windows = [
            values[
                row : row + (height - 1) * strides[0] + 1 : strides[0],
                column : column + (width - 1) * strides[1] + 1 : strides[1],
            ]
            for row, column in positions
        ]
        patches = jnp.concatenate(windows, -1).reshape(height * width, -1)
        return total + jnp.matmul(
            patches.T, weights.reshape(height * width, -1), preferred_element_type=wide
        ), None

    zeros = jnp.zeros((len(positions) * inputs.shape[-1], kernel.shape[-1]), wide)
    total, _ = lax.scan(add, zeros, (padded, gradient))
    return total.reshape(kernel.shape).astype(kernel.dtype)
