"""Convolutions, in whichever formulation is fastest where the program runs.

XLA's native convolution is the right one on GPUs and TPUs. On CPUs it is slow at some (jax 0.10.2,
2 cores, batch 32), for which others compute the same numbers up to rounding:

- 1x1: a product of matrices, with its gradients 1.5 to 5 times as fast at 96 px.
- depthwise: a sum of shifted products, forward 15 to 60 times at 96 px.
- any other over few positions: a product with patches, 60 times at 2x2 and 1.3 to 10 at 1x1 to 4x4.
- the gradient of a kernel over many positions: a product with patches, 2 to 6 times at 48 to 96 px.

What stays native is as fast as the alternatives tried: a product per kernel position, gathered
patches, Winograd's transforms.
"""

import contextlib
import contextvars
import functools
import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.layers.depthwise import depthwise_by_shifts
from faceemo.models.layers.matmul import product

# 'SAME' or 'VALID', as Keras means them, or zeros around: ((top, bottom), (left, right)).
Padding = str | Sequence[tuple[int, int]]
_portable = contextvars.ContextVar("portable", default=False)
_Pads = tuple[tuple[int, int], ...]
_LAYOUT = ("NHWC", "HWIO", "NHWC")
# From so many positions of the result on, the gradient of the kernel is had from patches.
_MANY = 400
# Up to so many, all of the convolution.
_FEW = 16


def convolve(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    """Convolution [B, H, W, C] x [kh, kw, C, D] -> [B, H', W', D], of whatever dtype both have."""
    if not on_cpu():
        return _native(inputs, kernel, strides, padding)
    # A 1x1 window needs no padding, so that 'SAME' and 'VALID' are one.
    if kernel.shape[:2] == (1, 1) and isinstance(padding, str):
        inputs = inputs[:, :: strides[0], :: strides[1]]
        outputs = product(inputs.reshape(-1, inputs.shape[-1]), kernel[0, 0])
        return outputs.reshape(*inputs.shape[:-1], -1)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], strides, padding)
    pads = tuple((before, after) for before, after in padding)
    height, width = (
        (side + sum(pad) - extent) // stride + 1
        for side, pad, extent, stride in zip(
            inputs.shape[1:3], pads, kernel.shape, strides, strict=False
        )
    )
    if height * width <= _FEW:
        return _by_patches(inputs, kernel, strides, pads, (height, width))
    return _with_patches(inputs, kernel, strides, pads)


def convolve_depthwise(inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> jax.Array:
    """Each channel with its own kernel, 'SAME': [B, H, W, C] x [kh, kw, C, 1] -> [B, H', W', C]."""
    if on_cpu():
        return depthwise_by_shifts(inputs, kernel, strides)
    return lax.conv_general_dilated(
        inputs,
        kernel.reshape(*kernel.shape[:2], 1, -1),
        strides,
        "SAME",
        dimension_numbers=_LAYOUT,
        feature_group_count=inputs.shape[-1],
    )


def on_cpu() -> bool:
    """Whether programs are compiled for the CPU, and to be fast there."""
    return jax.default_backend() == "cpu" and not _portable.get()


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """What is traced meanwhile has XLA's own convolutions, for programs that run elsewhere."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def _native(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    return lax.conv_general_dilated(inputs, kernel, strides, padding, dimension_numbers=_LAYOUT)


def _by_patches(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: _Pads,
    shape: tuple[int, int],
) -> jax.Array:
    """One product of all patches with the kernel; `shape` is the result's height and width."""
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    patches = _patches(padded, kernel, strides, shape)
    outputs = product(patches.reshape(-1, patches.shape[-1]), kernel.reshape(-1, kernel.shape[-1]))
    return outputs.reshape(*patches.shape[:-1], -1)


def _patches(
    padded: jax.Array, kernel: jax.Array, strides: tuple[int, int], shape: tuple[int, int]
) -> jax.Array:
    """What the kernel sees at each position: [..., H, W, C] -> [..., H', W', kh * kw * C]."""
    (height, width), (down, right) = shape, strides
    windows = [
        padded[
            ...,
            row : row + (height - 1) * down + 1 : down,
            column : column + (width - 1) * right + 1 : right,
            :,
        ]
        for row, column in itertools.product(range(kernel.shape[0]), range(kernel.shape[1]))
    ]
    return jnp.concatenate(windows, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _with_patches(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: _Pads
) -> jax.Array:
    """Native, but for the gradient of the kernel."""
    return _native(inputs, kernel, strides, padding)


def _forward(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: _Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _native(inputs, kernel, strides, padding), (inputs, kernel)


def _backward(
    strides: tuple[int, int],
    padding: _Pads,
    saved: tuple[jax.Array, jax.Array],
    gradient: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = saved
    # Linear in each, so that XLA drops the forward pass, and what nobody asks for.
    _, pull = jax.vjp(lambda x, k: _native(x, k, strides, padding), inputs, kernel)
    to_inputs, to_kernel = pull(gradient)
    if gradient.shape[1] * gradient.shape[2] >= _MANY:
        to_kernel = _gradient_of_kernel(inputs, kernel, strides, padding, gradient)
    return to_inputs, to_kernel


_with_patches.defvjp(_forward, _backward)


def _gradient_of_kernel(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: _Pads,
    gradient: jax.Array,
) -> jax.Array:
    """Image after image, so that the patches of one stay in the cache: one product each."""
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    _, height, width, _ = gradient.shape
    wide = jnp.promote_types(gradient.dtype, jnp.float32)

    def add(total: jax.Array, image: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        values, weights = image
        patches = _patches(values, kernel, strides, (height, width))
        return total + jnp.matmul(
            patches.reshape(-1, len(total)).T,
            weights.reshape(-1, kernel.shape[-1]),
            preferred_element_type=wide,
        ), None

    total, _ = lax.scan(
        add, jnp.zeros((kernel[..., 0].size, kernel.shape[-1]), wide), (padded, gradient)
    )
    return total.reshape(kernel.shape).astype(kernel.dtype)
