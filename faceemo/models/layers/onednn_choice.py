"""Where oneDNN, if it is in use, is faster than XLA: measured once, kept in one table."""

import dataclasses
import math

import jax

from faceemo.assets.processor import processor_features
from faceemo.models.layers import onednn
from faceemo.models.layers.padding import Pads, output_size

_AXES = ((1, 0), (1, 1), (0, 0))


@dataclasses.dataclass(frozen=True)
class _Gains:
    """For one type of numbers: products of two numbers from which on oneDNN is faster.

    Attributes:
        convolution: For a convolution over windows, forward or as the gradient of its inputs.
        kernel_gradient: For the gradient of such a convolution's kernel; infinity if nowhere.
        product: For a product of matrices, by the axes over which it is summed: (1, 0) is the
            forward product, (1, 1) the gradient of its rows, (0, 0) that of its kernel.
    """

    convolution: float
    kernel_gradient: float
    product: dict[tuple[int, int], float]


# Jaxlib 0.10.2, 2 cores; XLA's time over oneDNN's for layers of VGG16 and ResNet50V2, 3x3 and 7x7,
# strides 1 and 2, maps of 3 to 96 pixels, batch 32, if nothing else is said.
_NOWHERE = math.inf
_TABLE = {
    # AVX2, not AVX-512: 22 convolutions, batches of 1, 8 and 32, 0.99 to 2.2 (3 input channels: 1.1
    # to 3.9), below this number 0.6 to 0.8. The others were not measured.
    "float32": _Gains(5e7, _NOWHERE, dict.fromkeys(_AXES, _NOWHERE)),
    # AVX-512: convolutions 0.8 to 2.5 (one below 1), gradients of kernels 0.9 to 1.6, products for
    # those of 1x1 0.7 to 3.2 (one below 1); other products 0.6 to 1.3.
    "float32, AVX-512": _Gains(5e7, 5e7, {**dict.fromkeys(_AXES, _NOWHERE), (0, 0): 1e7}),
    # AVX-512 with bfloat16: convolutions 1.6 to 5.4, gradients of kernels 1.2 to 3.4, products for
    # those of 1x1 1.8 to 6; other products 0.6 to 2.6 (288 rows: 0.6 to 1.1).
    "bfloat16": _Gains(5e7, 5e7, {(1, 0): 5e7, (1, 1): 5e7, (0, 0): 1e7}),
}
# Output positions from which on the kernel's gradient is faster image by image, and input channels
# below which it is, too.
_MANY_POSITIONS = 2000
_FEW_CHANNELS = 16


def convolves(inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: Pads) -> bool:
    """Returns whether to convolve [B, H, W, C] with [kh, kw, C, D] by `onednn.convolve`."""
    if not onednn.can_compute(inputs, kernel) or min(map(min, pads)) < 0:
        return False
    size = output_size(inputs, kernel, strides, pads)
    products = len(inputs) * math.prod((*size, *kernel.shape))
    return products >= _gains(inputs).convolution


def computes_kernel_gradient(inputs: jax.Array, kernel: jax.Array, gradient: jax.Array) -> bool:
    """Returns whether to compute the gradient of [kh, kw, C, D] from oneDNN's products."""
    if not onednn.can_compute(inputs, kernel, gradient):
        return False
    products = math.prod((*gradient.shape[:3], *kernel.shape))
    return products >= _gains(inputs).kernel_gradient


def multiplies_by_position(inputs: jax.Array, kernel: jax.Array, gradient: jax.Array) -> bool:
    """Returns whether the gradient of a kernel is a product for each position in the kernel."""
    return (
        computes_kernel_gradient(inputs, kernel, gradient)
        and math.prod(gradient.shape[1:3]) < _MANY_POSITIONS
        and kernel.shape[2] >= _FEW_CHANNELS
    )


def multiplies(left: jax.Array, right: jax.Array, over: tuple[int, int]) -> bool:
    """Returns whether to multiply two matrices by `onednn.multiply`."""
    if not onednn.can_compute(left, right):
        return False
    products = left.size * right.shape[1 - over[1]]
    return products >= _gains(left).product[over]


def measured_case(dtype: str) -> str:
    """Returns the case of the tables that holds for a type of numbers on this processor."""
    wide = dtype == "float32" and "avx512f" in processor_features()
    return "float32, AVX-512" if wide else dtype


def _gains(array: jax.Array) -> _Gains:
    return _TABLE[measured_case(array.dtype.name)]
