"""Matrix multiplication that rounds once, whatever its dtype."""

import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.layers import onednn, onednn_choice
from faceemo.models.layers.extension import products
from faceemo.models.layers.native import on_cpu


@jax.custom_vjp
def matmul(rows: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiplies [N, C] by [C, D], both of one dtype; sums, also the gradients', are float32.

    In float32 it is `rows @ kernel`. In bfloat16 it rounds only at the end, and XLA calls a CPU's
    own bfloat16 instructions: 1.5 to 3 times as fast as `@` on an AMD EPYC. Automatic
    differentiation would make the gradients products of float32 with bfloat16.
    """
    return multiply(rows, kernel, over=(1, 0), dtype=rows.dtype)


def multiply(
    left: jax.Array, right: jax.Array, over: tuple[int, int], dtype: jnp.dtype
) -> jax.Array:
    """Multiplies two matrices of one dtype, by the fastest library in use; sums are float32.

    Args:
        left: Matrix.
        right: Matrix.
        over: The axis of each over which products are summed: (1, 0), (1, 1) or (0, 0).
        dtype: Type of the result, to which each sum is rounded once.
    """
    if on_cpu() and over == (0, 0) and products.gains_over_rows(left, right):
        return products.multiply_over_rows(left, right)
    if on_cpu() and onednn_choice.multiplies(left, right, over):
        return onednn.multiply(left, right, over, dtype)
    dimensions = (((over[0],), (over[1],)), ((), ()))
    wide = jnp.promote_types(left.dtype, jnp.float32)
    return lax.dot_general(left, right, dimensions, preferred_element_type=wide).astype(dtype)


def _forward(rows: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return matmul(rows, kernel), (rows, kernel)


def _backward(
    saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    rows, kernel = saved
    return (
        multiply(gradient, kernel, over=(1, 1), dtype=rows.dtype),
        multiply(rows, gradient, over=(0, 0), dtype=kernel.dtype),
    )


matmul.defvjp(_forward, _backward)
