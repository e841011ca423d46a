"""Call of the extension's product of matrices, see `calls`."""

import jax
import jax.numpy as jnp

from faceemo.models.layers.extension import calls

# What divides the columns for which there is code.
_COLUMNS = 32
# Rows from which on it is faster than XLA, whose sums take fewer passes over the result.
_ROWS = 256


def gains_over_rows(left: jax.Array, right: jax.Array) -> bool:
    """Returns whether `multiply_over_rows` can be called for [N, C] and [N, D], and is faster."""
    return (
        calls.can_compute(left, right)
        and len(left) >= _ROWS
        and all(matrix.shape[1] % _COLUMNS == 0 for matrix in (left, right))
    )


def multiply_over_rows(left: jax.Array, right: jax.Array) -> jax.Array:
    """Sums products over rows, as in the gradient of the kernel of a 1x1 convolution.

    Args:
        left: Float32 [N, C], see `gains_over_rows`.
        right: Float32 [N, D].

    Returns:
        `left.T @ right`, float32 [C, D].
    """
    shape = jax.ShapeDtypeStruct((left.shape[1], right.shape[1]), jnp.float32)
    return calls.call("product_over_rows", shape)(left, right)
