"""Convolutions in the formulation that is fastest on the device.

XLA's native convolution is the best on GPUs and TPUs. On CPUs some convolutions are slow (jax
0.10.2, 2 cores, batch 32), for which another formulation computes the same numbers up to rounding:

- 1x1: a matrix product, 1.5 to 5 times as fast at 96 px, gradients included.
- depthwise: a sum of shifted products, forward 15 to 60 times as fast at 96 px.
- any other with few output positions: a product with patches, 60 times as fast at 2x2 and 1.3 to 10
  times at 1x1 to 4x4.
- the kernel's gradient with many output positions: a product with patches, 2 to 6 times as fast at
  48 to 96 px.
- those of images, which have three channels, depthwise ones, those of 3x3 with strides of 1, and
  the gradients of 1x1 kernels: the `extension`, where it could be built and is in use.
- any other, the products above and their gradients: oneDNN, where that was found to work, is in use
  (`onednn`), and is faster (`onednn_choice`).

The others stay native, which is as fast as the alternatives tried: a product per kernel position,
and gathered patches.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.layers import onednn, onednn_choice
from faceemo.models.layers.depthwise import convolve_depthwise_on_cpu
from faceemo.models.layers.extension import calls, winograd
from faceemo.models.layers.kernel_gradient import compute_kernel_gradient
from faceemo.models.layers.matmul import matmul
from faceemo.models.layers.native import on_cpu
from faceemo.models.layers.padding import Padding, Pads, find_pads, output_size
from faceemo.models.layers.patches import extract_patches

_LAYOUT = ("NHWC", "HWIO", "NHWC")
# Output positions from which on the kernel's gradient is computed from patches.
_MANY_POSITIONS = 400
# Output positions up to which the whole convolution is computed from patches: in general, and where
# the extension can compute it, which is the faster one from 10 positions on.
_FEW_POSITIONS = 16
_FEW_FOR_EXTENSION = 9


def convolve(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    """Convolves [B, H, W, C] with [kh, kw, C, D], both of one dtype, to [B, H', W', D]."""
    if not on_cpu():
        return _native_convolve(inputs, kernel, strides, padding)
    # A 1x1 window needs no padding, so 'SAME' and 'VALID' are the same.
    if kernel.shape[:2] == (1, 1) and isinstance(padding, str):
        inputs = inputs[:, :: strides[0], :: strides[1]]
        outputs = matmul(inputs.reshape(-1, inputs.shape[-1]), kernel[0, 0])
        return outputs.reshape(*inputs.shape[:-1], -1)
    pads = find_pads(inputs, kernel, strides, padding)
    height, width = output_size(inputs, kernel, strides, pads)
    extended = winograd.can_convolve(inputs, kernel, strides, pads)
    if height * width <= (_FEW_FOR_EXTENSION if extended else _FEW_POSITIONS):
        return _convolve_patches(inputs, kernel, strides, pads, (height, width))
    return _convolve_with_fast_gradient(inputs, kernel, strides, pads)


def convolve_depthwise(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding = "SAME"
) -> jax.Array:
    """Convolves each channel with its own kernel.

    Args:
        inputs: Array [B, H, W, C].
        kernel: Array [kh, kw, C, 1].
        strides: Steps of the window, down and across.
        padding: As in `convolve`.

    Returns:
        Array [B, H', W', C].
    """
    if on_cpu():
        pads = find_pads(inputs, kernel, strides, padding)
        return convolve_depthwise_on_cpu(inputs, kernel, strides, pads)
    return lax.conv_general_dilated(
        inputs,
        kernel.reshape(*kernel.shape[:2], 1, -1),
        strides,
        padding,
        dimension_numbers=_LAYOUT,
        feature_group_count=inputs.shape[-1],
    )


def _native_convolve(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    return lax.conv_general_dilated(inputs, kernel, strides, padding, dimension_numbers=_LAYOUT)


def _convolve_patches(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: Pads,
    shape: tuple[int, int],
) -> jax.Array:
    """Multiplies all patches by the kernel; `shape` is the height and width of the result."""
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    patches = extract_patches(padded, kernel, strides, shape)
    outputs = matmul(patches.reshape(-1, patches.shape[-1]), kernel.reshape(-1, kernel.shape[-1]))
    return outputs.reshape(*patches.shape[:-1], -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve_with_fast_gradient(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Pads
) -> jax.Array:
    """Convolves by the extension, by oneDNN or natively; so are the gradients computed."""
    if calls.can_convolve_images(inputs, kernel):
        shape = len(inputs), *output_size(inputs, kernel, strides, padding), kernel.shape[3]
        return calls.convolve_images(inputs, kernel, calls.Window.make(strides, padding), shape)
    if winograd.can_convolve(inputs, kernel, strides, padding):
        return winograd.convolve(inputs, kernel, padding)
    if onednn_choice.convolves(inputs, kernel, strides, padding):
        return onednn.convolve(inputs, kernel, strides, padding)
    return _native_convolve(inputs, kernel, strides, padding)


def _forward(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve_with_fast_gradient(inputs, kernel, strides, padding), (inputs, kernel)


def _backward(
    strides: tuple[int, int],
    padding: Pads,
    saved: tuple[jax.Array, jax.Array],
    gradient: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = saved
    if winograd.can_convolve(inputs, kernel, strides, padding):
        return (
            winograd.compute_input_gradient(gradient, kernel, padding, inputs.shape),
            winograd.compute_kernel_gradient(inputs, gradient, padding),
        )
    # The convolution is linear in each, so XLA drops the forward pass and an unused gradient.
    _, pull = jax.vjp(lambda x, k: _native_convolve(x, k, strides, padding), inputs, kernel)
    to_inputs, to_kernel = pull(gradient)
    if strides == (1, 1):
        turned, pads = onednn.turn(kernel, padding)
        if onednn_choice.convolves(gradient, turned, strides, pads):
            to_inputs = onednn.convolve(gradient, turned, strides, pads)
    if calls.can_convolve_images(inputs, kernel, gradient):
        to_kernel = calls.compute_images_kernel_gradient(
            inputs, gradient, calls.Window.make(strides, padding), kernel.shape
        )
    elif onednn_choice.computes_kernel_gradient(inputs, kernel, gradient) or (
        gradient.shape[1] * gradient.shape[2] >= _MANY_POSITIONS
    ):
        to_kernel = compute_kernel_gradient(inputs, kernel, strides, padding, gradient)
    return to_inputs, to_kernel


_convolve_with_fast_gradient.defvjp(_forward, _backward)
