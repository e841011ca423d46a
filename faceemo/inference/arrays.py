"""Arrays of NumPy, JAX, TensorFlow and PyTorch as images."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from faceemo.errors import UserError

_ACCEPTED = (
    "images as uint8 arrays [H, W] or [H, W, 1] (grey), [H, W, 3] (red, green, blue), [H, W, 4] "
    "(with transparency), or batches [N, H, W], [N, H, W, C] and [N, C, H, W] of these"
)
_CHANNELS = (1, 3, 4)


def is_array(value: Any) -> bool:
    """Returns whether `value` is an array of any library that NumPy can read."""
    return hasattr(value, "__array__")


def split_batch(value: Any) -> Iterator[Image.Image]:
    """Yields the images of an array, one or many.

    Args:
        value: An array as `_ACCEPTED` describes, of any library that NumPy can read. A batch whose
            colours come before the sides is told from one whose colours come last by their number.

    Raises:
        UserError: If the array is not one of these.
    """
    array = _to_numpy(value)
    if array.dtype != np.uint8:
        raise _make_error(array, _advise_on_values(array))
    if 0 in array.shape:
        raise _make_error(array, "leave out what is empty")
    colours_last, batch = array.ndim > 2 and array.shape[-1] in _CHANNELS, array.ndim == 4
    if array.ndim == 3 and not colours_last:
        if array.shape[-1] == 2:
            raise _make_error(array, "drop the transparency: x[..., 0]")
        # The first axis of PyTorch's images is their colours, of other libraries' a batch.
        if _is_of("torch", value) and array.shape[0] in _CHANNELS[1:]:
            raise _make_error(
                array,
                "for one colour image x.permute(1, 2, 0), for a batch of grey images x[:, None]",
            )
        array, batch = array[..., None], True
    elif array.ndim == 2:
        array = array[..., None]
    elif batch and not colours_last and array.shape[1] in _CHANNELS:
        array = array.transpose(0, 2, 3, 1)
    elif array.ndim not in (3, 4) or not colours_last:
        raise _make_error(array, "give one image, or a batch of images of one size")
    for one in array if batch else array[None]:
        yield Image.fromarray(np.ascontiguousarray(one[..., 0] if one.shape[-1] == 1 else one))


def _to_numpy(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception as error:  # each library raises its own where an array is elsewhere
        fixes = {
            "torch": "give x.detach().cpu()",
            "tensorflow": "call predict outside of tf.function, where tensors have values",
            "jax": "call predict outside of jax.jit, where arrays have values",
        }
        library = next((name for name in fixes if _is_of(name, value)), "")
        raise UserError(
            expected="an array that NumPy can read",
            found=f"{type(value).__name__}: {str(error).partition(chr(10))[0]}",
            fix=fixes.get(library, "convert it into a NumPy array"),
        ) from error


def _is_of(library: str, value: Any) -> bool:
    return any(base.__module__.partition(".")[0] == library for base in type(value).__mro__)


def _make_error(array: np.ndarray, fix: str) -> UserError:
    return UserError(
        expected=_ACCEPTED,
        found=f"an array of {array.dtype} {list(array.shape)}",
        fix=fix,
    )


def _advise_on_values(array: np.ndarray) -> str:
    """Advises how to make uint8 pixels of an array x, judged by its type and its values."""
    if array.dtype == bool:
        return "np.asarray(x).astype('uint8') * 255, if True is white"
    if not (np.issubdtype(array.dtype, np.number) and np.isrealobj(array)):
        return "make an array of numbers; images of several sizes belong into a list"
    if not array.size:
        return "leave out what is empty"
    low, high = float(array.min()), float(array.max())
    is_whole = np.issubdtype(array.dtype, np.integer)
    if low >= 0 and high <= 1 and not is_whole:
        return "scale the pixels from 0..1: (255 * np.asarray(x)).round().astype('uint8')"
    if low >= 0 and high <= 255:
        rounded = "" if is_whole else ".round()"
        return f"the pixels are in 0..255 already: np.asarray(x){rounded}.astype('uint8')"
    if array.dtype == np.uint16:
        return "scale 16 bits to 8: (np.asarray(x) // 257).astype('uint8')"
    if low >= -1 and high <= 1 and not is_whole:
        return "scale the pixels from -1..1: (127.5 * (np.asarray(x) + 1)).round().astype('uint8')"
    return f"scale the pixels from {low:g}..{high:g} to 0..255, round, and use .astype('uint8')"
