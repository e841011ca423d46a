"""Convolutions and products by oneDNN, a library that jaxlib contains but compiles neither to.

XLA registers both as custom calls. That is a private interface, with two dangers:

- A call that does not fit aborts the process. So nothing calls it before `use`, and only
  `onednn_verdict` says for which types of numbers it may be used.
- XLA (jaxlib 0.10.2, 0.12.0.1) serialises a program with such a call as if it were another kind of
  call, and reads memory that is not its own. So `use` stops JAX from storing compiled programs.
"""

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from faceemo.models.layers.padding import Pads, output_size

_CONVOLUTION = "__onednn$convolution"
_PRODUCT = "__onednn$matmul"
# Axes of [B, H, W, C] and of [kh, kw, C, D].
_IMAGES = {
    "dims": "4",
    "data": {"batch_dim": "0", "feature_dim": "3", "spatial_dims": ["1", "2"]},
}
_KERNEL = {
    "dims": "4",
    "filter": {
        "input_feature_dim": "2",
        "output_feature_dim": "3",
        "spatial_dims": ["0", "1"],
    },
}
_dtypes: frozenset[str] = frozenset()


def use(dtypes: Iterable[str]) -> None:
    """Lets functions that are traced from here on use oneDNN for these types; none turns it off.

    JAX keeps no compiled program on disk from the first time on that a type is given, until the
    process ends.

    Args:
        dtypes: Names of types, of those that `onednn_verdict.find_verdict` found to be safe.
    """
    global _dtypes
    if frozenset(dtypes) == _dtypes:
        return
    _dtypes = frozenset(dtypes)
    # What was traced before has the other kind of convolution in it.
    jax.clear_caches()
    if _dtypes:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", math.inf)


def in_use() -> bool:
    """Returns whether convolutions that are traced now may be oneDNN's."""
    return bool(_dtypes)


def can_compute(*arrays: jax.Array) -> bool:
    """Returns whether oneDNN is in use for arrays of these types and sizes."""
    dtypes = {array.dtype.name for array in arrays}
    return len(dtypes) == 1 and dtypes <= _dtypes and min(array.size for array in arrays) > 0


def convolve(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: Pads
) -> jax.Array:
    """Convolves [B, H, W, C] with [kh, kw, C, D] to [B, H', W', D], see `can_compute`.

    Args:
        inputs: Array [B, H, W, C].
        kernel: Array [kh, kw, C, D] of the same type.
        strides: Steps of the window, down and across.
        pads: Numbers of zeros, none negative: ((top, bottom), (left, right)).
    """
    window = {
        "size": kernel.shape[:2],
        "pad_left": [before for before, _ in pads],
        "pad_right": [after for _, after in pads],
        "strides": strides,
        "window_dilations": (1, 1),
    }
    config = {
        "dims": "4",
        "input": _IMAGES,
        "output": _IMAGES,
        "kernel": _KERNEL,
        "window": {name: [str(number) for number in pair] for name, pair in window.items()},
        "feature_groups": "1",
    }
    shape = inputs.shape[0], *output_size(inputs, kernel, strides, pads), kernel.shape[3]
    return _call(_CONVOLUTION, {"onednn_conv_config": config}, shape, inputs.dtype)(inputs, kernel)


def multiply(
    left: jax.Array, right: jax.Array, over: tuple[int, int], dtype: jnp.dtype
) -> jax.Array:
    """Multiplies two matrices of one type, see `can_compute`; sums are float32.

    Args:
        left: Matrix.
        right: Matrix.
        over: The axis of each over which products are summed: (1, 0), (1, 1) or (0, 0).
        dtype: Type of the result: that of the matrices, or float32.
    """
    config = {"transpose_a": over[0] == 0, "transpose_b": over[1] == 1}
    shape = left.shape[1 - over[0]], right.shape[1 - over[1]]
    return _call(_PRODUCT, {"onednn_matmul_config": config}, shape, dtype)(left, right)


def turn(kernel: jax.Array, pads: Pads) -> tuple[jax.Array, Pads]:
    """Returns kernel and padding by which the gradient of the outputs becomes that of the inputs.

    That holds for strides of 1. The kernel [kh, kw, C, D] becomes [kh, kw, D, C], rotated by 180
    degrees.
    """
    (above, below), (left, right) = pads
    down, across = kernel.shape[0] - 1, kernel.shape[1] - 1
    reach = (down - above, down - below), (across - left, across - right)
    return kernel[::-1, ::-1].swapaxes(2, 3), reach


def _call(
    target: str, config: dict[str, Any], shape: tuple[int, ...], dtype: jnp.dtype
) -> Callable[..., jax.Array]:
    return jax.ffi.ffi_call(
        target,
        jax.ShapeDtypeStruct(shape, dtype),
        vmap_method="sequential",
        custom_call_api_version=1,
        legacy_backend_config=json.dumps(config),
    )
