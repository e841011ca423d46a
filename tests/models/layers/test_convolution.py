"""The CPU's formulations of convolution and pooling equal XLA's native ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.models.layers import convolution, pooling
from faceemo.models.layers.depthwise import convolve_depthwise_on_cpu

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def run_both_ways(monkeypatch, function, inputs, kernel):
    """Returns (outputs, gradients) of the CPU's formulation and of the native one."""
    results = []
    for on_cpu in (True, False):
        monkeypatch.setattr(convolution, "on_cpu", lambda on_cpu=on_cpu: on_cpu)
        results.append(jax.jit(lambda *arrays: with_gradients(function, *arrays))(inputs, kernel))
    return results


def with_gradients(function, inputs, kernel):
    outputs, pull = jax.vjp(function, inputs, kernel)
    # Small whole numbers are the same in all dtypes.
    cotangent = (jnp.arange(outputs.size) % 7 - 3).reshape(outputs.shape)
    return outputs, *pull(cotangent.astype(outputs.dtype))


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (7, 8), (12, 9)])
@pytest.mark.parametrize("padding", ["SAME", "given"])
def test_depthwise_equals_native(monkeypatch, side, stride, size, padding):
    if padding == "given":
        padding = ((0, side - 1), (side - 1, 1))

    def function(inputs, kernel):
        return convolution.convolve_depthwise(inputs, kernel, (stride, stride), padding)

    ours, native = run_both_ways(monkeypatch, function, draw(2, *size, 6), draw(side, side, 6, 1))
    for a, b in zip(ours, native, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 1), (1, 1))], ids=str)
def test_one_by_one_equals_native(monkeypatch, stride, padding):
    def function(inputs, kernel):
        return convolution.convolve(inputs, kernel, (stride, stride), padding)

    ours, native = run_both_ways(monkeypatch, function, draw(2, 7, 8, 6), draw(1, 1, 6, 5))
    for a, b in zip(ours, native, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize(
    ("side", "stride", "padding"),
    [(3, 1, "SAME"), (3, 2, "SAME"), (3, 2, "VALID"), (7, 2, ((3, 3), (3, 3)))],
    ids=str,
)
# Very few positions, few and many: each has its own formulation.
@pytest.mark.parametrize("size", [(3, 4), (9, 8), (43, 46)])
def test_any_kernel_equals_native(monkeypatch, side, stride, padding, size):
    def function(inputs, kernel):
        return convolution.convolve(inputs, kernel, (stride, stride), padding)

    ours, native = run_both_ways(monkeypatch, function, draw(2, *size, 6), draw(side, side, 6, 5))
    for a, b in zip(ours, native, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def test_the_gradient_of_a_bfloat16_kernel_is_summed_in_float32():
    inputs, kernel = draw(4, 32, 32, 3).astype(jnp.bfloat16), draw(3, 3, 3, 4).astype(jnp.bfloat16)

    def function(inputs, kernel):
        return convolution.convolve(inputs, kernel, (1, 1), "SAME")

    run = jax.jit(lambda *arrays: with_gradients(function, *arrays))
    exact = run(inputs.astype(np.float32), kernel.astype(np.float32))[2]
    ours = run(inputs, kernel)[2]
    assert ours.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(ours, np.float32), exact, rtol=1 / 128, atol=1e-2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("side", "stride"), [(2, 2), (3, 2), (3, 1), (2, 3), (5, 2)])
@pytest.mark.parametrize("size", [(6, 8), (7, 9)])
def test_pooling_equals_native(monkeypatch, dtype, side, stride, size):
    # Of few small numbers, most windows hold their largest value more than once.
    inputs = jnp.asarray(RNG.integers(0, 3, (2, *size, 5)), dtype)
    results = []
    for on_cpu in (True, False):
        monkeypatch.setattr(pooling, "on_cpu", lambda on_cpu=on_cpu: on_cpu)
        outputs, pull = jax.vjp(lambda x: pooling.max_pool(x, side, stride), inputs)
        # Whole numbers whose sums are exact in all dtypes.
        cotangent = (jnp.arange(outputs.size) % 7).reshape(outputs.shape).astype(dtype)
        results.append((outputs, *pull(cotangent)))
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))


def test_a_depthwise_bfloat16_convolution_is_summed_in_float32():
    inputs, kernel = draw(4, 32, 32, 3).astype(jnp.bfloat16), draw(5, 5, 3, 1).astype(jnp.bfloat16)

    def function(inputs, kernel):
        return convolve_depthwise_on_cpu(inputs, kernel, (1, 1), ((2, 2), (2, 2)))

    run = jax.jit(lambda *arrays: with_gradients(function, *arrays))
    exact = run(inputs.astype(np.float32), kernel.astype(np.float32))
    # The bound is one rounding at the end, 1 in 256.
    for ours, best in zip(run(inputs, kernel), exact, strict=True):
        assert ours.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(ours, np.float32), best, rtol=1 / 128, atol=1e-2)
