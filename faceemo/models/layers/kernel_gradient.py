"""The gradient of a convolution's kernel as products of matrices, for CPUs (see `convolution`)."""

import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.layers import onednn_choice
from faceemo.models.layers.matmul import multiply
from faceemo.models.layers.patches import each_window, extract_patches


def compute_kernel_gradient(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: tuple[tuple[int, int], ...],
    gradient: jax.Array,
) -> jax.Array:
    """Computes the gradient of the kernel [kh, kw, C, D] from that of the outputs [B, H', W', D].

    The sums are at least float32, whatever the type of the arrays.
    """
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    if onednn_choice.multiplies_by_position(inputs, kernel, gradient):
        return _by_position(padded, kernel, strides, gradient)
    return _by_image(padded, kernel, strides, gradient)


def _by_image(
    padded: jax.Array, kernel: jax.Array, strides: tuple[int, int], gradient: jax.Array
) -> jax.Array:
    """Adds up one product per image, so that the patches of an image stay in the CPU's cache."""
    _, height, width, _ = gradient.shape
    wide = jnp.promote_types(gradient.dtype, jnp.float32)

    def add(total: jax.Array, image: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        values, weights = image
        patches = extract_patches(values, kernel, strides, (height, width)).reshape(-1, len(total))
        return total + multiply(
            patches, weights.reshape(-1, kernel.shape[-1]), over=(0, 0), dtype=wide
        ), None

    total, _ = lax.scan(
        add, jnp.zeros((kernel[..., 0].size, kernel.shape[-1]), wide), (padded, gradient)
    )
    return total.reshape(kernel.shape).astype(kernel.dtype)


def _by_position(
    padded: jax.Array, kernel: jax.Array, strides: tuple[int, int], gradient: jax.Array
) -> jax.Array:
    """Computes one product over all images for each position in the kernel."""
    _, height, width, _ = gradient.shape
    weights = gradient.reshape(-1, kernel.shape[-1])
    products = [
        multiply(window.reshape(-1, kernel.shape[2]), weights, over=(0, 0), dtype=kernel.dtype)
        for window in each_window(padded, kernel, strides, (height, width))
    ]
    return jnp.stack(products).reshape(kernel.shape)
