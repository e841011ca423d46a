"""Program that compares the results of a library with NumPy's, in a process that may die of it.

    python -m faceemo.models.layers.extension.probe LIBRARY

Its exit code is 0 if all are equal to rounding; otherwise it prints which are not, and it is 1.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from faceemo.models.layers.extension import calls, products, winograd

# Shapes of inputs, among them channels that fill no register and maps smaller than the kernel.
_SHAPES = ((2, 9, 8, 3), (3, 12, 13, 64), (9, 5, 7, 85), (2, 2, 1, 40), (1, 17, 16, 132))
_KERNELS = ((3, (1, 1)), (3, (2, 2)), (5, (1, 1)), (5, (2, 1)), (3, (3, 2)))
_IMAGES = (
    ((2, 12, 13, 3), (3, 3, 3, 32), (1, 1)),
    ((3, 19, 18, 3), (7, 7, 3, 69), (2, 2)),
    ((1, 4, 5, 3), (5, 5, 3, 19), (2, 1)),
)
# Inputs and features of convolutions by Winograd's functions, and zeros above and on the left.
_WINOGRAD = (
    ((3, 9, 8, 64), 96, (1, 1)),
    ((1, 3, 1, 32), 32, (0, 2)),
    ((40, 13, 9, 32), 64, (2, 0)),
)
# Rows and columns of products.
_PRODUCTS = ((1, 32, 64), (2100, 96, 32))
# Largest difference as a share of the largest value.
_TOLERANCE = 1e-5


def main(arguments: Sequence[str]) -> int:
    """Tries the library at the path that is given."""
    calls.use(Path(arguments[0]).resolve())
    if found := find_difference():
        print(f"error: other values than NumPy's: {found}", file=sys.stderr)
    return bool(found)


def find_difference() -> str:
    """Returns which result of the library in use is wrong; an empty text if none is."""
    rng = np.random.default_rng(0)
    for shape in _SHAPES:
        values, slopes = (rng.normal(loc=3, size=shape).astype(np.float32) for _ in range(2))
        mask = (np.arange(len(values)) != 1).astype(np.float32)
        mean = values[mask > 0].mean((0, 1, 2), dtype=np.float64).astype(np.float32)
        apart = values.astype(np.float64) - mean
        expected = [mean, (apart[mask > 0] ** 2).sum((0, 1, 2))]
        if _differ(jax.jit(calls.compute_moments)(values, mask), expected):
            return f"moments of {shape}"
        expected = [slopes.sum((0, 1, 2), dtype=np.float64), (slopes * apart).sum((0, 1, 2))]
        if _differ(jax.jit(calls.sum_gradients)(values, mean, slopes), expected):
            return f"sums of the gradient of {shape}"
        for side, strides in _KERNELS:
            if _differs_in_depthwise(rng, values, side, strides):
                return f"depthwise convolution of {shape}, kernel {side}, strides {strides}"
            if _differs_between_normalisations(rng, values, side, strides):
                return f"normalised depthwise convolution of {shape}, kernel {side}"
    for shape, sides, strides in _IMAGES:
        if _differs_in_images(rng, shape, sides, strides):
            return f"convolution of images {shape}, kernel {sides}, strides {strides}"
    for shape, features, before in _WINOGRAD:
        if _differs_in_winograd(rng, shape, features, before):
            return f"convolution of {shape}, {features} features"
    for count, *columns in _PRODUCTS:
        one, other = (rng.normal(size=(count, width)).astype(np.float32) for width in columns)
        ours = products.multiply_over_rows(jnp.asarray(one), jnp.asarray(other))
        if _differ([ours], [one.astype(np.float64).T @ other]):
            return f"product over {count} rows"
    return ""


def _differs_in_depthwise(
    rng: np.random.Generator, inputs: np.ndarray, side: int, strides: tuple[int, int]
) -> bool:
    """Compares outputs and gradients with sums over the positions of the kernel."""
    padded, small, before = _pad(inputs, side, strides)
    kernel = rng.normal(size=(side, side, inputs.shape[3], 1)).astype(np.float32)
    gradient = rng.normal(size=small).astype(np.float32)
    outputs, to_kernel = np.zeros(small), np.zeros(kernel.shape)
    to_padded = np.zeros_like(padded)
    for i, j in np.ndindex(side, side):
        window = _positions(small, (i, j), strides)
        outputs += padded[window] * kernel[i, j, :, 0]
        to_kernel[i, j, :, 0] = (padded[window] * gradient).sum((0, 1, 2))
        to_padded[window] += gradient * kernel[i, j, :, 0]
    rows, columns = (np.s_[n : n + m] for n, m in zip(before, inputs.shape[1:3], strict=True))
    place = calls.Window(strides, before)
    x, k, g = map(jnp.asarray, (inputs, kernel, gradient))
    ours = [
        calls.convolve_depthwise(x, k, place, small),
        calls.compute_depthwise_input_gradient(g, k, place, inputs.shape),
        calls.compute_depthwise_kernel_gradient(x, g, place, kernel.shape),
    ]
    return _differ(ours, [outputs, to_padded[:, rows, columns], to_kernel])


def _differs_between_normalisations(
    rng: np.random.Generator, inputs: np.ndarray, side: int, strides: tuple[int, int]
) -> bool:
    """Compares a depthwise convolution between normalisations, for both activations."""
    kernel = rng.normal(size=(side, side, inputs.shape[3], 1)).astype(np.float32)
    pairs = [
        tuple(rng.normal(size=inputs.shape[3]).astype(np.float32) for _ in range(2))
        for _ in range(2)
    ]
    for swish in (False, True):

        def activate(values: np.ndarray, pair: tuple[np.ndarray, ...], swish: bool) -> np.ndarray:
            values = values * pair[0] + pair[1]
            return values / (1 + np.exp(-values)) if swish else np.clip(values, 0, 6)

        before = activate(inputs.astype(np.float64), pairs[0], swish)
        padded, small, above = _pad(before, side, strides)
        sums = np.zeros(small)
        for i, j in np.ndindex(side, side):
            sums += padded[_positions(small, (i, j), strides)] * kernel[i, j, :, 0]
        expected = activate(sums, pairs[1], swish)
        x, k, (scale, shift), (scale_after, shift_after) = jax.tree.map(
            jnp.asarray, (inputs, kernel, *pairs)
        )
        ours = calls.convolve_depthwise_between(
            *(x, k, (scale, shift), (scale_after, shift_after)),
            calls.Window(strides, above),
            small,
            swish=swish,
            average=True,
        )
        if _differ(ours, [expected, expected.mean((1, 2))]):
            return True
    return False


def _differs_in_images(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    sides: tuple[int, ...],
    strides: tuple[int, int],
) -> bool:
    """Compares outputs and the kernel's gradient with products for each position of the kernel."""
    inputs = rng.normal(size=shape).astype(np.float32)
    kernel = rng.normal(size=sides).astype(np.float32)
    padded, small, before = _pad(inputs, sides[0], strides)
    small = (*small[:3], sides[3])
    gradient = rng.normal(size=small).astype(np.float32)
    outputs, to_kernel = np.zeros(small), np.zeros(sides)
    for i, j in np.ndindex(sides[0], sides[1]):
        window = padded[_positions(small, (i, j), strides)]
        outputs += window @ kernel[i, j]
        to_kernel[i, j] = np.einsum("bhwc,bhwd->cd", window, gradient)
    place = calls.Window(strides, before)
    x, k, g = map(jnp.asarray, (inputs, kernel, gradient))
    ours = [
        calls.convolve_images(x, k, place, small),
        calls.compute_images_kernel_gradient(x, g, place, sides),
    ]
    return _differ(ours, [outputs, to_kernel])


def _differs_in_winograd(
    rng: np.random.Generator, shape: tuple[int, ...], features: int, before: tuple[int, int]
) -> bool:
    """Compares outputs and gradients with products for each position of the kernel."""
    inputs = rng.normal(size=shape).astype(np.float32)
    kernel = rng.normal(size=(3, 3, shape[3], features)).astype(np.float32)
    # The result has the size of the inputs.
    (above, left), (rows, columns) = before, shape[1:3]
    pads = ((above, 2 - above), (left, 2 - left))
    padded = np.pad(inputs.astype(np.float64), ((0, 0), *pads, (0, 0)))
    gradient = rng.normal(size=(*shape[:3], features)).astype(np.float32)
    outputs, to_kernel = np.zeros(gradient.shape), np.zeros(kernel.shape)
    to_padded = np.zeros(padded.shape)
    for i, j in np.ndindex(3, 3):
        window = _positions(gradient.shape, (i, j), (1, 1))
        outputs += padded[window] @ kernel[i, j]
        to_kernel[i, j] = np.einsum("bhwc,bhwd->cd", padded[window], gradient)
        to_padded[window] += gradient @ kernel[i, j].T
    x, k, g = map(jnp.asarray, (inputs, kernel, gradient))
    ours = [
        winograd.convolve(x, k, pads),
        winograd.compute_input_gradient(g, k, pads, x.shape),
        winograd.compute_kernel_gradient(x, g, pads),
    ]
    inside = to_padded[:, above : above + rows, left : left + columns]
    return _differ(ours, [outputs, inside, to_kernel])


def _pad(
    inputs: np.ndarray, side: int, strides: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, ...], tuple[int, int]]:
    """Pads inputs; returns them, the shape of the result and the zeros above and on the left."""
    pairs = zip(inputs.shape[1:3], strides, strict=True)
    small = (len(inputs), *(-(-extent // step) for extent, step in pairs), inputs.shape[3])
    before = (side // 2, side // 2 - 1)
    around = [(zeros, side + step) for zeros, step in zip(before, strides, strict=True)]
    return np.pad(inputs.astype(np.float64), ((0, 0), *around, (0, 0))), small, before


def _positions(
    small: tuple[int, ...], place: tuple[int, int], strides: tuple[int, int]
) -> tuple[slice, ...]:
    """Returns which inputs meet one position of the kernel."""
    stops = [first + step * n for first, step, n in zip(place, strides, small[1:3], strict=True)]
    return np.s_[:, place[0] : stops[0] : strides[0], place[1] : stops[1] : strides[1]]


def _differ(ours: Sequence[jax.Array], theirs: Sequence[np.ndarray]) -> bool:
    for one, other in zip(ours, theirs, strict=True):
        limit = _TOLERANCE * max(np.abs(other).max(), 1)
        # Also true where a difference is not a number.
        if one.shape != other.shape or not (np.abs(np.asarray(one) - other) <= limit).all():
            return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
