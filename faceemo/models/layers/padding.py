"""Zeros around the inputs of a convolution, and the size of its result."""

from collections.abc import Sequence

import jax
from jax import lax

# 'SAME' or 'VALID' as in Keras, or numbers of zeros: ((top, bottom), (left, right)).
Padding = str | Sequence[tuple[int, int]]
# The numbers alone.
Pads = tuple[tuple[int, int], tuple[int, int]]


def find_pads(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> Pads:
    """Returns the numbers of zeros around [B, H, W, C] for a kernel [kh, kw, ...]."""
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], strides, padding)
    (above, below), (left, right) = padding
    return (above, below), (left, right)


def output_size(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: Pads
) -> tuple[int, int]:
    """Returns height and width of the result."""
    height, width = (
        (side + sum(pad) - extent) // stride + 1
        for side, pad, extent, stride in zip(
            inputs.shape[1:3], pads, kernel.shape[:2], strides, strict=True
        )
    )
    return height, width
