"""Program that compares oneDNN's results with XLA's, in a process that may die of its calls.

    python -m faceemo.models.layers.onednn_probe

For each type of numbers it prints 'works TYPE', or 'differs TYPE: WHAT' and ends, or 'lacks TYPE:
WHAT' where the processor would have to imitate it. If it dies, the types before that work.
`onednn_verdict` runs it with two CPU devices.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from faceemo.assets.processor import processor_features
from faceemo.models.layers import onednn

# In the order in which they are tried: not every processor has instructions for bfloat16.
DTYPES = ("float32", "bfloat16")
# Shape of the inputs, number of output channels, side of the kernel, strides, padding.
_CASES = (
    ((1, 9, 8, 3), 5, 3, (1, 1), ((1, 1), (1, 1))),
    ((2, 13, 12, 16), 32, 3, (1, 1), ((0, 1), (2, 0))),
    ((3, 12, 15, 33), 7, 3, (2, 2), ((1, 1), (1, 1))),
    ((2, 14, 14, 8), 64, 3, (2, 2), ((0, 1), (0, 1))),
    ((2, 12, 9, 4), 6, 3, (2, 1), ((0, 0), (0, 0))),
    ((2, 23, 24, 3), 64, 7, (2, 2), ((3, 3), (3, 3))),
    ((1, 12, 12, 5), 4, 5, (1, 1), ((2, 2), (2, 2))),
    ((2, 12, 12, 64), 64, 3, (1, 1), ((1, 1), (1, 1))),
)
# Rows, columns and depth of a product of matrices, for each pair of axes over which it is summed.
_PRODUCTS = ((1, 5, 3), (300, 33, 257))
_AXES = ((1, 0), (1, 1), (0, 0))
# Features of which a processor has one if it computes in bfloat16 by instructions of its own.
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})
# Largest difference as a share of the largest value: of another order of sums, and in bfloat16 of
# one rounding.
_TOLERANCES = {"float32": 1e-5, "bfloat16": 1 / 64}


def main() -> None:
    """Tries each type of numbers."""
    # Where there is oneDNN, there is this module. An abort is expected, and its dump helps nobody.
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for dtype in DTYPES:
        if dtype == "bfloat16" and not _BFLOAT16 & processor_features():
            print(f"lacks {dtype}: neither {' nor '.join(sorted(_BFLOAT16))}", flush=True)
            return
        difference = find_difference(dtype) or find_different_product(dtype)
        if difference:
            print(f"differs {dtype}: {difference}", flush=True)
            return
        print(f"works {dtype}", flush=True)


def find_difference(dtype: str) -> str:
    """Returns which convolution of a type differs from XLA's; an empty text if none does."""
    rng = np.random.default_rng(0)
    for shape, features, side, strides, pads in _CASES:
        inputs = jnp.asarray(rng.normal(size=shape), dtype)
        kernel = jnp.asarray(rng.normal(size=(side, side, shape[3], features)), dtype)
        ours = jax.jit(lambda x, k, s=strides, p=pads: onednn.convolve(x, k, s, p))
        theirs = jax.jit(
            lambda x, k, s=strides, p=pads: lax.conv_general_dilated(
                x, k, s, p, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        )
        expected = theirs(inputs, kernel)
        # Every device at once as well, as in training.
        arrays = [jnp.stack([array] * jax.local_device_count()) for array in (inputs, kernel)]
        for outputs in (ours(inputs, kernel), *jax.pmap(ours)(*arrays)):
            if _differ(outputs, expected):
                return f"{shape} to {features}, kernel {side}, strides {strides}, padding {pads}"
    return ""


def find_different_product(dtype: str) -> str:
    """Returns which product of a type differs from XLA's; an empty text if none does."""
    rng = np.random.default_rng(1)
    for (rows, columns, depth), over in itertools.product(_PRODUCTS, _AXES):
        one = jnp.asarray(rng.normal(size=(rows, depth) if over[0] else (depth, rows)), dtype)
        other = jnp.asarray(
            rng.normal(size=(columns, depth) if over[1] else (depth, columns)), dtype
        )
        # Rounded to the type of the matrices, and as sums.
        for result in {one.dtype, jnp.dtype("float32")}:
            ours = jax.jit(lambda a, b, o=over, r=result: onednn.multiply(a, b, o, r))
            expected = jax.jit(
                lambda a, b, o=over, r=result: lax.dot_general(
                    a, b, (((o[0],), (o[1],)), ((), ())), preferred_element_type=jnp.float32
                ).astype(r)
            )(one, other)
            arrays = [jnp.stack([array] * jax.local_device_count()) for array in (one, other)]
            for outputs in (ours(one, other), *jax.pmap(ours)(*arrays)):
                if _differ(outputs, expected):
                    return f"product {one.shape} x {other.shape} over {over} to {result}"
    return ""


def _differ(ours: jax.Array, theirs: jax.Array) -> bool:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return True
    one, other = (np.asarray(array, np.float64) for array in (ours, theirs))
    limit = _TOLERANCES[theirs.dtype.name] * np.abs(other).max()
    # Also true where a difference is not a number.
    return not (np.abs(one - other) <= limit).all()


if __name__ == "__main__":
    main()
