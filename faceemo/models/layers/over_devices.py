"""Sums over the devices among which a batch is divided."""

import jax
from jax import lax


def add_up(array: jax.Array, axis_name: str | None) -> jax.Array:
    """Adds up an array over all devices, with the same result on each.

    XLA copies the arrays that it sums also where there is one device, in up to a tenth of the time
    of a step. That sum is left out.

    Args:
        array: Array of any shape.
        axis_name: Name of the mapped device axis; None if the batch is not divided.
    """
    if axis_name is None or lax.axis_size(axis_name) == 1:
        return array
    return lax.psum(array, axis_name)
