"""Matrix products equal NumPy's, rounded once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.models.layers.matmul import matmul

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape)


@pytest.mark.parametrize(("dtype", "rounding"), [(jnp.float32, 2**-20), (jnp.bfloat16, 2**-8)])
def test_product_and_gradients_equal_numpys_rounded_once(dtype, rounding):
    # Long sums of numbers near one: summed in bfloat16 they would stop growing at 256.
    rows, kernel, cotangent = (
        jnp.asarray(np.abs(draw(*shape)) + 0.5, dtype) for shape in ((600, 700), (700, 5), (600, 5))
    )
    outputs, pull = jax.vjp(jax.jit(matmul), rows, kernel)
    exact_rows, exact_kernel, exact_cotangent = (
        np.asarray(array, np.float64) for array in (rows, kernel, cotangent)
    )
    expected = (
        exact_rows @ exact_kernel,
        exact_cotangent @ exact_kernel.T,
        exact_rows.T @ exact_cotangent,
    )
    for ours, exact in zip((outputs, *pull(cotangent)), expected, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(np.asarray(ours, np.float64), exact, rtol=rounding)
