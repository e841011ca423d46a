"""oneDNN's results equal XLA's, and what gains nothing stays with XLA."""

import concurrent.futures

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.models.layers import (
    convolution,
    matmul,
    native,
    onednn,
    onednn_choice,
    onednn_probe,
    onednn_verdict,
)

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def verdict(tmp_path_factory):
    """What this machine can use, as its own probe found it once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEEMO_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv(onednn_verdict.SWITCH, "1")
        return onednn_verdict.find_verdict()


def from_products(monkeypatch, count):
    """Lets oneDNN compute whatever has as many products of two numbers."""
    gains = onednn_choice._Gains(count, count, dict.fromkeys(((1, 0), (1, 1), (0, 0)), count))
    monkeypatch.setattr(onednn_choice, "_TABLE", dict.fromkeys(onednn_choice._TABLE, gains))


@pytest.fixture
def use(verdict, monkeypatch):
    """Turns oneDNN on for a type and for shapes of any size."""
    from_products(monkeypatch, 0)
    seconds = jax.config.values["jax_persistent_cache_min_compile_time_secs"]

    def use(dtype="float32"):
        if dtype not in verdict.dtypes:
            pytest.skip(f"no oneDNN here for {dtype}: {verdict.reason}")
        onednn.use([dtype])

    yield use
    onednn.use([])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)


def draw(*shape, dtype="float32"):
    return jnp.asarray(RNG.normal(size=shape), dtype)


def with_gradients(strides, padding):
    def run(inputs, kernel):
        outputs, pull = jax.vjp(
            lambda x, k: convolution.convolve(x, k, strides, padding), inputs, kernel
        )
        return outputs, *pull(
            (jnp.arange(outputs.size) % 7 - 3.0).reshape(outputs.shape).astype(inputs.dtype)
        )

    return run


def count_calls(function, *arguments):
    """Counts the calls of oneDNN in a program: convolutions, products."""
    text = jax.jit(function).lower(*arguments).as_text()
    return text.count("__onednn$convolution"), text.count("__onednn$matmul")


# How much the results may differ from those of sums in float32: by another order of sums, and in
# bfloat16 by one rounding.
LIMITS = {"float32": 1e-5, "bfloat16": 1 / 128}


def assert_equal_but_for_rounding(ours, theirs, dtype):
    assert (ours.shape, ours.dtype) == (theirs.shape, dtype)
    ours, theirs = (np.asarray(array, np.float64) for array in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=LIMITS[dtype] * np.abs(theirs).max())


@pytest.mark.parametrize("dtype", onednn_probe.DTYPES)
@pytest.mark.parametrize(
    ("batch", "side", "strides", "padding", "channels", "calls"),
    [
        # The gradient of the kernel is one product in a loop over images, ...
        (1, 3, (1, 1), "SAME", 6, (2, 1)),
        (2, 3, (1, 1), "VALID", 6, (2, 1)),
        (2, 3, (2, 2), "SAME", 6, (1, 1)),
        (2, 3, (2, 1), ((0, 1), (2, 0)), 6, (1, 1)),
        (3, 3, (1, 1), ((0, 1), (2, 0)), 6, (2, 1)),
        (2, 7, (2, 2), ((3, 3), (3, 3)), 6, (1, 1)),
        # More zeros than the kernel reaches: the inputs' gradient would have negative padding.
        (2, 3, (1, 1), ((3, 3), (0, 0)), 6, (1, 1)),
        # ... or one for each position in it.
        (3, 3, (1, 1), "SAME", 17, (2, 9)),
        (2, 3, (2, 2), ((1, 1), (1, 1)), 16, (1, 9)),
        (2, 3, (2, 1), ((0, 1), (2, 0)), 17, (1, 9)),
        (2, 5, (1, 1), "VALID", 18, (2, 25)),
        # A kernel of one position is a product in all directions, and so are few outputs.
        (2, 1, (1, 1), "SAME", 17, (0, 3)),
        (2, 1, (2, 2), "VALID", 6, (0, 3)),
        (2, 5, (3, 3), "VALID", 7, (0, 3)),
    ],
    ids=str,
)
def test_values_and_gradients_equal_xlas(
    use, dtype, batch, side, strides, padding, channels, calls
):
    arrays = draw(batch, 15, 12, channels, dtype=dtype), draw(side, side, channels, 5, dtype=dtype)
    run = with_gradients(strides, padding)
    with native.native_convolutions():
        exact = jax.jit(with_gradients(strides, padding))(*(a.astype("float32") for a in arrays))
    use(dtype)
    assert count_calls(run, *arrays) == calls
    for ours, theirs in zip(jax.jit(run)(*arrays), exact, strict=True):
        assert_equal_but_for_rounding(ours, theirs, dtype)


def test_the_gradient_of_a_kernel_over_many_positions_is_summed_image_by_image(use):
    arrays = draw(2, 46, 47, 16), draw(3, 3, 16, 8)
    run = with_gradients((1, 1), "SAME")
    with native.native_convolutions():
        exact = jax.jit(with_gradients((1, 1), "SAME"))(*arrays)
    use()
    assert count_calls(run, *arrays) == (2, 1)
    for ours, theirs in zip(jax.jit(run)(*arrays), exact, strict=True):
        assert_equal_but_for_rounding(ours, theirs, "float32")


@pytest.mark.parametrize("dtype", onednn_probe.DTYPES)
@pytest.mark.parametrize("shape", [(1, 3, 5), (32, 257, 64), (300, 17, 1)], ids=str)
def test_products_and_their_gradients_equal_numpys(use, dtype, shape):
    rows, inner, columns = shape
    arrays = draw(rows, inner, dtype=dtype), draw(inner, columns, dtype=dtype)
    cotangent = draw(rows, columns, dtype=dtype)
    use(dtype)

    def run(left, right, cotangent):
        outputs, pull = jax.vjp(matmul.matmul, left, right)
        return outputs, *pull(cotangent)

    assert count_calls(run, *arrays, cotangent) == (0, 3)
    left, right, above = (np.asarray(array, np.float64) for array in (*arrays, cotangent))
    expected = left @ right, above @ right.T, left.T @ above
    for ours, theirs in zip(jax.jit(run)(*arrays, cotangent), expected, strict=True):
        assert_equal_but_for_rounding(ours, theirs, dtype)


def test_products_of_bfloat16_can_be_sums_in_float32(use):
    left, right = draw(300, 17, dtype="bfloat16"), draw(300, 9, dtype="bfloat16")
    expected = np.asarray(left, np.float64).T @ np.asarray(right, np.float64)
    use("bfloat16")
    ours = jax.jit(lambda a, b: matmul.multiply(a, b, over=(0, 0), dtype=jnp.dtype("float32")))(
        left, right
    )
    assert_equal_but_for_rounding(ours, expected, "float32")


def test_mapped_over_two_devices_and_vectorised_and_in_threads(use):
    inputs, kernel = draw(2, 3, 12, 12, 4), draw(3, 3, 4, 8)

    def convolve(images):
        return convolution.convolve(images, kernel, (1, 1), "SAME")

    expected = [convolve(images) for images in inputs]
    use()
    assert count_calls(convolve, inputs[0]) == (1, 0)
    for many in (jax.pmap(convolve)(inputs), jax.jit(jax.vmap(convolve))(inputs)):
        np.testing.assert_allclose(many, expected, rtol=0, atol=1e-4)
    step = jax.jit(convolve)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for number, result in enumerate(pool.map(lambda n: step(inputs[n % 2]), range(60))):
            np.testing.assert_allclose(result, expected[number % 2], rtol=0, atol=1e-4)


def test_few_products_other_types_and_empty_batches_stay_with_xla(use, monkeypatch):
    use()
    kernel = draw(3, 3, 4, 8)

    def convolve(images, kernel):
        return convolution.convolve(images, kernel, (1, 1), "SAME")

    def multiply(rows, kernel):
        return matmul.matmul(rows, kernel.reshape(-1, 8))

    def run(images, kernel):
        return with_gradients((1, 1), "SAME")(images, kernel)

    for function, rows, all_calls in (
        (convolve, draw(1, 9, 9, 4), (1, 0)),
        # In the order in which they lose: gradient of the kernel, then the convolutions.
        (run, draw(1, 9, 9, 4), (2, 1)),
        (multiply, draw(81, 36), (0, 1)),
    ):
        from_products(monkeypatch, 0)
        jax.clear_caches()
        assert count_calls(function, rows, kernel) == all_calls
        half = rows.astype("float16")
        assert count_calls(function, half, kernel.astype("float16")) == (0, 0)
        assert count_calls(function, rows[:0], kernel) == (0, 0)
        from_products(monkeypatch, 9 * 9 * 3 * 3 * 4 * 8)
        jax.clear_caches()
        assert count_calls(function, rows, kernel) == all_calls
        from_products(monkeypatch, 9 * 9 * 3 * 3 * 4 * 8 + 1)
        jax.clear_caches()
        assert count_calls(function, rows, kernel) == (0, 0)


def test_no_program_with_such_a_call_is_stored(use):
    """XLA would read memory that is not its own, see `onednn`."""
    before = jax.config.values["jax_persistent_cache_min_compile_time_secs"]
    assert before < 1
    use()
    assert jax.config.values["jax_persistent_cache_min_compile_time_secs"] == np.inf
    onednn.use([])
    # A program that was traced before may be compiled later.
    assert jax.config.values["jax_persistent_cache_min_compile_time_secs"] == np.inf


def test_turning_it_on_and_off_replaces_what_was_traced(use):
    inputs, kernel = draw(1, 9, 9, 4), draw(3, 3, 4, 8)
    step = jax.jit(lambda x, k: convolution.convolve(x, k, (1, 1), "SAME"))
    counts = []
    for dtypes in ([], ["float32"], []):
        onednn.use(dtypes) if not dtypes else use()
        counts.append(step.lower(inputs, kernel).as_text().count("__onednn$convolution"))
    assert counts == [0, 1, 0]
