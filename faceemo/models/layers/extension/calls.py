"""Calls of the extension's functions from JAX. They are unused until `use` is called."""

import ctypes
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from faceemo.models.layers.padding import Pads

_FUNCTIONS = (
    *("moments", "gradient_sums"),
    *("depthwise", "depthwise_input_gradient", "depthwise_kernel_gradient"),
    "depthwise_between",
    *("images", "images_kernel_gradient"),
    *("winograd", "winograd_kernel_gradient"),
    "product_over_rows",
)
# Sides of the depthwise kernels for which there is code, and channels of images.
_SIDES = (3, 5)
_COLORS = 3
_in_use = ""
_registered: set[str] = set()


class Window(NamedTuple):
    """How a kernel moves over the inputs.

    Attributes:
        strides: Steps, down and across.
        before: Zeros above and on the left of the inputs.
    """

    strides: tuple[int, int]
    before: tuple[int, int]

    @classmethod
    def make(cls, strides: tuple[int, int], pads: Pads) -> "Window":
        """Makes a window for inputs with these zeros around them."""
        (above, _), (left, _) = pads
        return cls(strides, (above, left))


def use(library: Path | None) -> None:
    """Lets functions that are traced from here on use an extension; None turns it off.

    Args:
        library: A library that `build.find_library` returned.

    Raises:
        OSError: If the library cannot be loaded.
    """
    global _in_use
    prefix = "" if library is None else _register(library)
    if prefix != _in_use:
        _in_use = prefix
        # What was traced before calls other functions.
        jax.clear_caches()


def in_use() -> str:
    """Returns the name of the library that functions traced now may use; '' if there is none."""
    return _in_use


def can_compute(*arrays: jax.Array) -> bool:
    """Returns whether an extension is in use for arrays of these types and sizes."""
    return bool(_in_use) and all(array.dtype == jnp.float32 and array.size > 0 for array in arrays)


def can_convolve_depthwise(kernel: jax.Array, *arrays: jax.Array) -> bool:
    """Returns whether the functions for depthwise convolutions can be called for these arrays.

    Args:
        kernel: Array [kh, kw, C, 1].
        arrays: Inputs and outputs, or their gradients.
    """
    square = kernel.shape[0] == kernel.shape[1] and kernel.shape[0] in _SIDES
    return square and can_compute(kernel, *arrays)


def compute_moments(values: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sums over images and positions in a single pass over the memory.

    Args:
        values: Float32 [B, H, W, C]; masked rows are not used, whatever they hold.
        mask: Float32 [B], above 0 for a real row.

    Returns:
        The mean of the real rows and the sum of the squared deviations from it, each [C]; zeros if
        no row is real.
    """
    each = jax.ShapeDtypeStruct(values.shape[-1:], jnp.float32)
    return call("moments", (each, each))(values, mask)


def sum_gradients(
    values: jax.Array, mean: jax.Array, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Sums a gradient over images and positions in a single pass over the memory.

    Args:
        values: Float32 [B, H, W, C].
        mean: Float32 [C].
        gradient: Float32 [B, H, W, C].

    Returns:
        The sums of `gradient` and of `gradient * (values - mean)`, each [C].
    """
    each = jax.ShapeDtypeStruct(values.shape[-1:], jnp.float32)
    return call("gradient_sums", (each, each))(values, mean, gradient)


def convolve_depthwise(
    inputs: jax.Array, kernel: jax.Array, window: Window, shape: tuple[int, ...]
) -> jax.Array:
    """Convolves each channel with its own kernel, see `can_convolve_depthwise`.

    Args:
        inputs: Float32 [B, H, W, C].
        kernel: Float32 [kh, kw, C, 1].
        window: How the kernel moves.
        shape: Shape of the result, [B, H', W', C].
    """
    return _call_window("depthwise", inputs, kernel, window, shape)


def compute_depthwise_input_gradient(
    gradient: jax.Array, kernel: jax.Array, window: Window, shape: tuple[int, ...]
) -> jax.Array:
    """Computes the gradient of the inputs of `convolve_depthwise`.

    Args:
        gradient: Float32 [B, H', W', C], that of the outputs.
        kernel: Float32 [kh, kw, C, 1].
        window: How the kernel moves.
        shape: Shape of the inputs, [B, H, W, C].
    """
    return _call_window("depthwise_input_gradient", gradient, kernel, window, shape)


def compute_depthwise_kernel_gradient(
    inputs: jax.Array, gradient: jax.Array, window: Window, shape: tuple[int, ...]
) -> jax.Array:
    """Computes the gradient of the kernel of `convolve_depthwise`.

    Args:
        inputs: Float32 [B, H, W, C].
        gradient: Float32 [B, H', W', C], that of the outputs.
        window: How the kernel moves.
        shape: Shape of the kernel, [kh, kw, C, 1].
    """
    return _call_window("depthwise_kernel_gradient", inputs, gradient, window, shape)


def convolve_depthwise_between(
    inputs: jax.Array,
    kernel: jax.Array,
    before: tuple[jax.Array, jax.Array],
    after: tuple[jax.Array, jax.Array],
    window: Window,
    shape: tuple[int, ...],
    *,
    swish: bool,
    average: bool,
) -> tuple[jax.Array, jax.Array]:
    """Convolves activation(inputs * scale + shift), and applies the same to the result.

    Args:
        inputs: Float32 [B, H, W, C].
        kernel: Float32 [kh, kw, C, 1], see `can_convolve_depthwise`.
        before: Scale and shift of the inputs, float32 [C].
        after: Scale and shift of the result.
        window: How the kernel moves.
        shape: Shape of the result, [B, H', W', C].
        swish: True if the activation is swish, false if it is ReLU6.
        average: True if the averages over the positions are needed.

    Returns:
        Array of `shape`, and its averages [B, C], or [B, 0].
    """
    averages = jax.ShapeDtypeStruct((shape[0], shape[3] * average), jnp.float32)
    run = call("depthwise_between", (jax.ShapeDtypeStruct(shape, jnp.float32), averages))
    numbers = _name_numbers(window) | {"swish": np.int64(swish)}
    return run(inputs, kernel, *before, *after, **numbers)


def can_convolve_images(inputs: jax.Array, kernel: jax.Array, *outputs: jax.Array) -> bool:
    """Returns whether the functions for images can be called: [B, H, W, 3], a square kernel."""
    square = kernel.shape[0] == kernel.shape[1] and kernel.shape[2] == _COLORS
    return square and can_compute(inputs, kernel, *outputs)


def convolve_images(
    inputs: jax.Array, kernel: jax.Array, window: Window, shape: tuple[int, ...]
) -> jax.Array:
    """Convolves images, see `can_convolve_images`.

    Args:
        inputs: Float32 [B, H, W, 3].
        kernel: Float32 [k, k, 3, D].
        window: How the kernel moves.
        shape: Shape of the result, [B, H', W', D].
    """
    return _call_window("images", inputs, kernel, window, shape)


def compute_images_kernel_gradient(
    inputs: jax.Array, gradient: jax.Array, window: Window, shape: tuple[int, ...]
) -> jax.Array:
    """Computes the gradient of the kernel of `convolve_images`.

    Args:
        inputs: Float32 [B, H, W, 3].
        gradient: Float32 [B, H', W', D], that of the outputs.
        window: How the kernel moves.
        shape: Shape of the kernel, [k, k, 3, D].
    """
    return _call_window("images_kernel_gradient", inputs, gradient, window, shape)


def _call_window(
    function: str, one: jax.Array, other: jax.Array, window: Window, shape: tuple[int, ...]
) -> jax.Array:
    run = call(function, jax.ShapeDtypeStruct(shape, jnp.float32))
    return run(one, other, **_name_numbers(window))


def _name_numbers(window: Window) -> dict[str, np.int64]:
    """Returns the attributes by which the extension's functions know a window."""
    names = ("down", "right", "above", "left")
    numbers = map(np.int64, (*window.strides, *window.before))
    return dict(zip(names, numbers, strict=True))


def call(function: str, results: Any) -> Callable[..., Any]:
    """Returns a function of the library in use, see `can_compute`.

    Args:
        function: Its name.
        results: Shapes and types of what it returns.
    """
    return jax.ffi.ffi_call(f"{_in_use}_{function}", results, vmap_method="sequential")


def _register(library: Path) -> str:
    """Makes a library's functions known to XLA; returns what their names begin with.

    Programs on disk find functions by their names, so a name belongs to one file's content.
    """
    prefix = f"faceemo_{hashlib.sha256(library.read_bytes()).hexdigest()[:16]}"
    if prefix in _registered:
        return prefix
    loaded = ctypes.CDLL(str(library))
    for function in _FUNCTIONS:
        address = jax.ffi.pycapsule(getattr(loaded, f"faceemo_{function}"))
        jax.ffi.register_ffi_target(f"{prefix}_{function}", address, platform="cpu")
    _registered.add(prefix)
    return prefix
