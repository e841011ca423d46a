"""The windows of an image over which a kernel slides, as arrays of their own."""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp


def each_window(
    padded: jax.Array, kernel: jax.Array, strides: tuple[int, int], shape: tuple[int, int]
) -> Iterator[jax.Array]:
    """Yields, for each position in the kernel, the values that meet it.

    Args:
        padded: Array [..., H, W, C], already padded.
        kernel: Array [kh, kw, C, D].
        strides: Steps of the window, down and across.
        shape: Height and width of the convolution's result.

    Yields:
        kh * kw arrays [..., H', W', C], row by row.
    """
    (height, width), (down, right) = shape, strides
    for row, column in itertools.product(range(kernel.shape[0]), range(kernel.shape[1])):
        yield padded[
            ...,
            row : row + (height - 1) * down + 1 : down,
            column : column + (width - 1) * right + 1 : right,
            :,
        ]


def extract_patches(
    padded: jax.Array, kernel: jax.Array, strides: tuple[int, int], shape: tuple[int, int]
) -> jax.Array:
    """Gathers the windows of `each_window`: [..., H, W, C] -> [..., H', W', kh * kw * C]."""
    return jnp.concatenate(list(each_window(padded, kernel, strides, shape)), -1)
