"""Calls of the extension's convolutions with kernels of 3x3: Winograd's F(2x2, 3x3), see `calls`.

They need 16 products where a plain convolution needs 36. Rounding errors are of the same size.
"""

import jax
import jax.numpy as jnp
import numpy as np

from faceemo.models.layers.extension import calls
from faceemo.models.layers.padding import Pads, output_size

_SIDE = 3
# What divides the channels for which there is code.
_CHANNELS = 32


def can_convolve(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: Pads
) -> bool:
    """Returns whether a convolution and its gradients can be computed.

    Args:
        inputs: Array [B, H, W, C].
        kernel: Array [kh, kw, C, D].
        strides: Steps of the window, down and across.
        pads: Numbers of zeros around the inputs.
    """
    return (
        kernel.shape[:2] == (_SIDE, _SIDE)
        and strides == (1, 1)
        and all(channels % _CHANNELS == 0 for channels in kernel.shape[2:])
        and all(0 <= zeros < _SIDE for pair in pads for zeros in pair)
        and calls.can_compute(inputs, kernel)
    )


def convolve(inputs: jax.Array, kernel: jax.Array, pads: Pads) -> jax.Array:
    """Convolves with a kernel of 3x3, see `can_convolve`.

    Args:
        inputs: Float32 [B, H, W, C].
        kernel: Float32 [3, 3, C, D].
        pads: Numbers of zeros around the inputs, at most 2 each.

    Returns:
        Float32 [B, H', W', D].
    """
    shape = (len(inputs), *output_size(inputs, kernel, (1, 1), pads), kernel.shape[3])
    return _convolve(inputs, kernel, pads, shape, turned=False)


def compute_input_gradient(
    gradient: jax.Array, kernel: jax.Array, pads: Pads, shape: tuple[int, ...]
) -> jax.Array:
    """Computes the gradient of the inputs of `convolve`.

    Args:
        gradient: Float32 [B, H', W', D], that of the outputs.
        kernel: Float32 [3, 3, C, D].
        pads: Numbers of zeros around the inputs.
        shape: Shape of the inputs, [B, H, W, C].
    """
    (above, below), (left, right) = pads
    reach = _SIDE - 1
    around = ((reach - above, reach - below), (reach - left, reach - right))
    return _convolve(gradient, kernel, around, shape, turned=True)


def compute_kernel_gradient(inputs: jax.Array, gradient: jax.Array, pads: Pads) -> jax.Array:
    """Computes the gradient of the kernel of `convolve`.

    Args:
        inputs: Float32 [B, H, W, C].
        gradient: Float32 [B, H', W', D], that of the outputs.
        pads: Numbers of zeros around the inputs.

    Returns:
        Float32 [3, 3, C, D].
    """
    shape = (_SIDE, _SIDE, inputs.shape[3], gradient.shape[3])
    run = calls.call("winograd_kernel_gradient", jax.ShapeDtypeStruct(shape, jnp.float32))
    return run(inputs, gradient, **_name_zeros(pads))


def _convolve(
    inputs: jax.Array, kernel: jax.Array, pads: Pads, shape: tuple[int, ...], *, turned: bool
) -> jax.Array:
    """Convolves with a kernel, or with a turned one, [3, 3, D, C] rotated by 180 degrees."""
    run = calls.call("winograd", jax.ShapeDtypeStruct(shape, jnp.float32))
    return run(inputs, kernel, turned=turned, **_name_zeros(pads))


def _name_zeros(pads: Pads) -> dict[str, np.int64]:
    """Returns the attributes by which the extension knows the zeros before the inputs."""
    (above, _), (left, _) = pads
    return {"above": np.int64(above), "left": np.int64(left)}
