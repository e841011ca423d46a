"""Depthwise convolution as a sum of shifted products, for CPUs (see `convolution`)."""

import functools
import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.layers.extension import calls
from faceemo.models.layers.padding import Pads, output_size


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve_depthwise_on_cpu(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: Pads
) -> jax.Array:
    """Convolves [B, H, W, C] with [kh, kw, C, 1] to [B, H', W', C].

    The extension does it, where it is in use. Otherwise all operations are elementwise, so that XLA
    fuses them into one loop.
    """
    shape = len(inputs), *output_size(inputs, kernel, strides, pads), inputs.shape[3]
    if calls.can_convolve_depthwise(kernel, inputs):
        return calls.convolve_depthwise(inputs, kernel, calls.Window.make(strides, pads), shape)
    padded = _pad(inputs, pads)
    wide = _accumulator(inputs.dtype)
    total = jnp.zeros(shape, wide)
    for row, column in _positions(kernel.shape):
        window = _window(padded, (row, column), shape[1:3], strides)
        total += window.astype(wide) * _per_channel(kernel[row, column, :, 0]).astype(wide)
    return total.astype(inputs.dtype)


def _forward(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return convolve_depthwise_on_cpu(inputs, kernel, strides, pads), (inputs, kernel)


def _backward(
    strides: tuple[int, int],
    pads: Pads,
    saved: tuple[jax.Array, jax.Array],
    gradient: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Computes the gradients of inputs and kernel.

    Automatic differentiation would sum over images and positions once per kernel position, and
    would recompute the incoming gradient each time; XLA does not vectorise such sums over slices.
    That takes 5 to 15 times as long.
    """
    inputs, kernel = saved
    if calls.can_convolve_depthwise(kernel, inputs, gradient):
        place = calls.Window.make(strides, pads)
        return (
            calls.compute_depthwise_input_gradient(gradient, kernel, place, inputs.shape),
            calls.compute_depthwise_kernel_gradient(inputs, gradient, place, kernel.shape),
        )
    # Otherwise XLA would fuse the long computation of the gradient into each of its uses.
    gradient = lax.optimization_barrier(gradient)
    to_inputs = _compute_input_gradient(inputs.shape, kernel, strides, pads, gradient)
    return to_inputs, _compute_kernel_gradient(_pad(inputs, pads), kernel, strides, gradient)


convolve_depthwise_on_cpu.defvjp(_forward, _backward)


def _compute_input_gradient(
    shape: Sequence[int],
    kernel: jax.Array,
    strides: tuple[int, int],
    pads: Pads,
    gradient: jax.Array,
) -> jax.Array:
    """Computes the gradient of the inputs.

    It is the sum of `convolve_depthwise_on_cpu` with the kernel rotated and the gradient dilated
    by `strides`.
    """
    padding = [(0, 0, 0)]
    for axis, (before, _) in zip((1, 2), pads, strict=True):
        reach, stride = kernel.shape[axis - 1] - 1, strides[axis - 1]
        dilated = (gradient.shape[axis] - 1) * stride + 1
        padding.append((reach - before, shape[axis] + before - dilated, stride - 1))
    padded = lax.pad(gradient, jnp.zeros((), gradient.dtype), (*padding, (0, 0, 0)))
    # Keeps XLA from fusing the padding into the sum, which would then test every element for being
    # padding.
    padded = lax.optimization_barrier(padded)
    wide = _accumulator(gradient.dtype)
    total = jnp.zeros(shape, wide)
    for row, column in _positions(kernel.shape):
        window = _window(padded, (row, column), shape[1:3], (1, 1))
        weight = kernel[kernel.shape[0] - 1 - row, kernel.shape[1] - 1 - column, :, 0]
        total += window.astype(wide) * _per_channel(weight).astype(wide)
    return total.astype(gradient.dtype)


def _compute_kernel_gradient(
    padded: jax.Array, kernel: jax.Array, strides: tuple[int, int], gradient: jax.Array
) -> jax.Array:
    """Sums over the images first, position by position, and over the positions only at the end."""
    positions = list(_positions(kernel.shape))
    wide = _accumulator(gradient.dtype)
    size = gradient.shape[1:3]

    def add(
        totals: list[jax.Array], image: tuple[jax.Array, jax.Array]
    ) -> tuple[list[jax.Array], None]:
        values, weights = (part[None].astype(wide) for part in image)
        windows = [_window(values, position, size, strides) for position in positions]
        return [t + (w * weights)[0] for t, w in zip(totals, windows, strict=True)], None

    zeros = [jnp.zeros(gradient.shape[1:], wide)] * len(positions)
    totals, _ = lax.scan(add, zeros, (padded, gradient))
    sums = lax.optimization_barrier([total.sum((0, 1)) for total in totals])
    return jnp.stack(sums).reshape(kernel.shape).astype(kernel.dtype)


def _accumulator(dtype: jnp.dtype) -> jnp.dtype:
    """Returns the type of sums: float32 for bfloat16, as in native convolutions."""
    return jnp.promote_types(dtype, jnp.float32)


def _positions(kernel_shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    return itertools.product(range(kernel_shape[0]), range(kernel_shape[1]))


def _pad(inputs: jax.Array, pads: Pads) -> jax.Array:
    return jnp.pad(inputs, ((0, 0), *pads, (0, 0)))


def _window(
    padded: jax.Array, start: tuple[int, int], size: Sequence[int], strides: tuple[int, int]
) -> jax.Array:
    """Slices `size` rows and columns, each a stride apart, from `start` on."""
    stops = [first + (n - 1) * s + 1 for first, n, s in zip(start, size, strides, strict=True)]
    batch, _, _, channels = padded.shape
    return lax.slice(padded, (0, *start, 0), (batch, *stops, channels), (1, *strides, 1))


def _per_channel(values: jax.Array) -> jax.Array:
    return values.reshape(1, 1, 1, -1)
