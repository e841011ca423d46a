"""Convolutions by oneDNN, a library that jaxlib contains but compiles no convolution to.

XLA registers it as a custom call. That is a private interface, with two dangers:

- A call that does not fit aborts the process. So nothing calls it before `use`, and only
  `onednn_verdict` says for which types of numbers it may be used.
- XLA (jaxlib 0.10.2, 0.12.0.1) serialises a program with such a call as if it were another kind of
  call, and reads memory that is not its own. So `use` stops JAX from storing compiled programs.
"""

import json
import math
from collections.abc import Iterable, Sequence

import jax

_TARGET = "__onednn$convolution"
_Pads = Sequence[tuple[int, int]]
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
# Products of two numbers from which on oneDNN is faster than XLA. Above it 22 shapes of VGG16 and
# ResNet50V2, 3x3 and 7x7, strides 1 and 2, maps of 6 to 96 pixels, batches of 1, 8 and 32, were
# 0.99 to 2.2 times as fast (3 input channels: 1.1 to 3.9), below it 0.6 to 0.8 times: jaxlib
# 0.10.2, 2 cores with AVX2 but not AVX-512, float32.
_MIN_PRODUCTS = 50_000_000

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


def is_faster(inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: _Pads) -> bool:
    """Returns whether to call oneDNN: it is in use, can compute this, and is faster than XLA.

    Args:
        inputs: Array [B, H, W, C].
        kernel: Array [kh, kw, C, D].
        strides: Steps of the window, down and across.
        pads: Numbers of zeros: ((top, bottom), (left, right)).
    """
    if inputs.dtype.name not in _dtypes or inputs.dtype != kernel.dtype:
        return False
    if min(inputs.size, kernel.size) < 1 or min(map(min, pads)) < 0:
        return False
    size = _output_size(inputs, kernel, strides, pads)
    return inputs.shape[0] * math.prod((*size, *kernel.shape)) >= _MIN_PRODUCTS


def convolve(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: _Pads
) -> jax.Array:
    """Convolves [B, H, W, C] with [kh, kw, C, D] to [B, H', W', D]; see `is_faster`."""
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
    size = _output_size(inputs, kernel, strides, pads)
    call = jax.ffi.ffi_call(
        _TARGET,
        jax.ShapeDtypeStruct((inputs.shape[0], *size, kernel.shape[3]), inputs.dtype),
        vmap_method="sequential",
        custom_call_api_version=1,
        legacy_backend_config=json.dumps({"onednn_conv_config": config}),
    )
    return call(inputs, kernel)


def turn(kernel: jax.Array, pads: _Pads) -> tuple[jax.Array, _Pads]:
    """Returns kernel and padding by which the gradient of the outputs becomes that of the inputs.

    That holds for strides of 1. The kernel [kh, kw, C, D] becomes [kh, kw, D, C], rotated by 180
    degrees.
    """
    reach = [
        (extent - 1 - before, extent - 1 - after)
        for extent, (before, after) in zip(kernel.shape[:2], pads, strict=True)
    ]
    return kernel[::-1, ::-1].swapaxes(2, 3), reach


def _output_size(
    inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: _Pads
) -> tuple[int, int]:
    height, width = (
        (side + sum(pad) - extent) // stride + 1
        for side, pad, extent, stride in zip(
            inputs.shape[1:3], pads, kernel.shape[:2], strides, strict=True
        )
    )
    return height, width
