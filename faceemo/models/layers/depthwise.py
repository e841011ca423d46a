"""Depthwise convolution as a sum of shifted products, for CPUs (see convolution.py)."""

import functools
import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_by_shifts(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int]
) -> jax.Array:
    """[B, H, W, C] x [kh, kw, C, 1] -> [B, H', W', C], 'SAME'.

    All is elementwise, so that XLA makes it one loop.
    """
    padded = jnp.pad(inputs, _padding(inputs.shape, kernel.shape, strides))
    wide = _accumulator(inputs.dtype)
    shape = _strided(inputs.shape, strides)
    total = jnp.zeros(shape, wide)
    for row, column in _positions(kernel.shape):
        window = _window(padded, (row, column), shape[1:3], strides)
        total += window.astype(wide) * _spread(kernel[row, column, :, 0]).astype(wide)
    return total.astype(inputs.dtype)


def _forward(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return depthwise_by_shifts(inputs, kernel, strides), (inputs, kernel)


def _backward(
    strides: tuple[int, int], saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The gradients of inputs and kernel.

    Left to automatic differentiation, a sum over images and positions per kernel position would
    recompute the incoming gradient each time, and XLA does not vectorise sums over slices: 5 to 15
    times slower than what stands here.
    """
    inputs, kernel = saved
    # What computes it is long; once is enough.
    gradient = lax.optimization_barrier(gradient)
    to_inputs = _gradient_of_inputs(inputs.shape, kernel, strides, gradient)
    return to_inputs, _gradient_of_kernel(inputs, kernel, strides, gradient)


depthwise_by_shifts.defvjp(_forward, _backward)


def _gradient_of_inputs(
    shape: Sequence[int], kernel: jax.Array, strides: tuple[int, int], gradient: jax.Array
) -> jax.Array:
    """The same shifted sum, with the kernel turned round and the gradient spread by the strides."""
    around = [(0, 0, 0)]
    for axis, (before, _) in zip((1, 2), _padding(shape, kernel.shape, strides)[1:3], strict=True):
        reach, stride = kernel.shape[axis - 1] - 1, strides[axis - 1]
        spread = (gradient.shape[axis] - 1) * stride + 1
        around.append((reach - before, shape[axis] + before - spread, stride - 1))
    padded = lax.pad(gradient, jnp.zeros((), gradient.dtype), (*around, (0, 0, 0)))
    # Between the padding and the sum, which would else ask of every element whether it is padding.
    padded = lax.optimization_barrier(padded)
    wide = _accumulator(gradient.dtype)
    total = jnp.zeros(shape, wide)
    for row, column in _positions(kernel.shape):
        window = _window(padded, (row, column), shape[1:3], (1, 1))
        weight = kernel[kernel.shape[0] - 1 - row, kernel.shape[1] - 1 - column, :, 0]
        total += window.astype(wide) * _spread(weight).astype(wide)
    return total.astype(gradient.dtype)


def _gradient_of_kernel(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], gradient: jax.Array
) -> jax.Array:
    """Summed image after image, position by position, and only at the end over positions."""
    padded = jnp.pad(inputs, _padding(inputs.shape, kernel.shape, strides))
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
    """What to add up in: as native convolutions do, float32 for bfloat16."""
    return jnp.promote_types(dtype, jnp.float32)


def _positions(kernel_shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    return itertools.product(range(kernel_shape[0]), range(kernel_shape[1]))


def _strided(shape: Sequence[int], strides: tuple[int, int]) -> tuple[int, ...]:
    """Of the result with 'SAME' padding."""
    return (shape[0], -(-shape[1] // strides[0]), -(-shape[2] // strides[1]), shape[3])


def _padding(
    shape: Sequence[int], kernel_shape: Sequence[int], strides: tuple[int, int]
) -> list[tuple[int, int]]:
    """Zeros before and after each axis for 'SAME'; an odd one goes after."""
    small = _strided(shape, strides)
    pairs = []
    for axis in (1, 2):
        reach = (small[axis] - 1) * strides[axis - 1] + kernel_shape[axis - 1]
        total = max(reach - shape[axis], 0)
        pairs.append((total // 2, total - total // 2))
    return [(0, 0), *pairs, (0, 0)]


def _window(
    padded: jax.Array, start: tuple[int, int], size: Sequence[int], strides: tuple[int, int]
) -> jax.Array:
    """Every stride-th row and column from `start`, `size` of them."""
    stops = [first + (n - 1) * s + 1 for first, n, s in zip(start, size, strides, strict=True)]
    batch, _, _, channels = padded.shape
    return lax.slice(padded, (0, *start, 0), (batch, *stops, channels), (1, *strides, 1))


def _spread(per_channel: jax.Array) -> jax.Array:
    return per_channel.reshape(1, 1, 1, -1)
