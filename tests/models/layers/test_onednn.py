"""oneDNN's results equal XLA's, and nothing but a good verdict lets it be used."""

import concurrent.futures
import json
import os
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.errors import UserError
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


def fake_probe(monkeypatch, tmp_path, program):
    """Makes a program, in Python, take the place of the probe."""
    monkeypatch.setenv(onednn_verdict.SWITCH, "1")
    monkeypatch.setenv("FACEEMO_CACHE", str(tmp_path / "cache"))
    count = f"open({str(tmp_path / 'starts')!r}, 'a').write('.')\n"
    monkeypatch.setattr(onednn_verdict, "_PROGRAM", [sys.executable, "-c", count + program])
    monkeypatch.setattr(onednn_verdict, "_LIMIT", 20)


def test_a_verdict_is_kept_and_a_damaged_one_is_found_anew(monkeypatch, tmp_path):
    fake_probe(monkeypatch, tmp_path, "print('works float32\\nworks bfloat16')")
    best = onednn_verdict.Verdict(("float32", "bfloat16"))
    assert [onednn_verdict.find_verdict() for _ in range(3)] == [best] * 3
    assert (tmp_path / "starts").read_text() == "."
    path = onednn_verdict.verdict_path()
    assert json.loads(path.read_text()) == {"dtypes": ["float32", "bfloat16"], "reason": ""}
    path.write_text('{"dtypes": ["float')
    assert onednn_verdict.find_verdict() == best
    assert (tmp_path / "starts").read_text() == ".."


def test_a_probe_that_dies_differs_or_hangs_is_a_verdict_with_its_reason(monkeypatch, tmp_path):
    die = "import os; print('works float32', flush=True); os.abort()"
    for name, program, dtypes, reason in (
        ("dies", die, ("float32",), "for bfloat16 the probe ended with code -6"),
        ("raises", "raise ValueError('no target')", (), "code 1: ValueError: no target"),
        ("differs", "print('differs float32: kernel 3')", (), "float32 the probe found other val"),
        (
            "lacks",
            "print('lacks float32: no avx')",
            (),
            "float32 the probe found no instructions for it: no avx",
        ),
        ("hangs", "import time; time.sleep(99)", (), "did not end within 1 seconds"),
    ):
        (tmp_path / name).mkdir()
        fake_probe(monkeypatch, tmp_path / name, program)
        if name == "hangs":
            monkeypatch.setattr(onednn_verdict, "_LIMIT", 1)
        found = onednn_verdict.find_verdict()
        assert found.dtypes == dtypes
        assert reason in found.reason
        assert onednn_verdict.find_verdict() == found
        assert (tmp_path / name / "starts").read_text() == "."


def test_a_cache_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    fake_probe(monkeypatch, tmp_path, "print('works float32\\nworks bfloat16')")
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACEEMO_CACHE", str(tmp_path / "file"))
    found = onednn_verdict.find_verdict()
    assert found.dtypes == ("float32", "bfloat16")
    assert "every start probes again" in found.reason


def test_nothing_is_probed_where_it_cannot_be_used(monkeypatch, tmp_path):
    fake_probe(monkeypatch, tmp_path, "")
    for patch, reason in (
        (lambda m: m.setenv(onednn_verdict.SWITCH, "0"), "FACEEMO_ONEDNN is 0"),
        (lambda m: m.setattr(onednn_verdict.metadata, "version", lambda _: "9.9.9"), "with 9.9.9"),
        (lambda m: m.setattr(jax, "default_backend", lambda: "gpu"), "JAX uses the gpu"),
        (lambda m: m.setattr(onednn_verdict.platform, "machine", lambda: "aarch64"), "aarch64"),
    ):
        with monkeypatch.context() as context:
            patch(context)
            found = onednn_verdict.find_verdict()
        assert found.dtypes == ()
        assert reason in found.reason
    monkeypatch.setenv(onednn_verdict.SWITCH, "yes")
    with pytest.raises(UserError, match="FACEEMO_ONEDNN=yes"):
        onednn_verdict.find_verdict()
    assert not (tmp_path / "starts").exists()


def test_importing_faceemo_neither_probes_nor_turns_it_on(tmp_path):
    program = (
        "import faceemo.experiments.run, faceemo.inference.predictor\n"
        "from faceemo.models.layers import onednn\n"
        "assert not onednn.in_use()"
    )
    environment = os.environ | {"FACEEMO_CACHE": str(tmp_path / "cache"), "FACEEMO_ONEDNN": "1"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=100)
    assert not (tmp_path / "cache").exists()


def test_a_processor_without_bfloat16_does_not_imitate_it(monkeypatch, capsys):
    monkeypatch.setattr(onednn_probe, "find_difference", lambda dtype: "")
    monkeypatch.setattr(onednn_probe, "find_different_product", lambda dtype: "")
    for features, line in (
        ({"avx2", "avx512f"}, "lacks bfloat16: neither amx_bf16 nor avx512_bf16"),
        ({"avx2", "avx512_bf16"}, "works bfloat16"),
        ({"amx_bf16"}, "works bfloat16"),
    ):
        monkeypatch.setattr(onednn_probe, "processor_features", lambda f=features: frozenset(f))
        onednn_probe.main()
        assert capsys.readouterr().out.splitlines() == ["works float32", line]


def test_the_probe_notices_products_and_convolutions_that_differ(monkeypatch, capsys):
    monkeypatch.setattr(onednn_probe, "_CASES", onednn_probe._CASES[:1])
    monkeypatch.setattr(onednn_probe, "_PRODUCTS", onednn_probe._PRODUCTS[:1])
    for name, found in (("convolve", "kernel 3"), ("multiply", "product (1, 3) x (3, 5)")):
        with monkeypatch.context() as context:
            right = {"convolve": native_convolution, "multiply": native_product}
            for function, replacement in right.items():
                context.setattr(onednn, function, replacement)
            wrong = right[name]
            context.setattr(onednn, name, lambda *a, wrong=wrong: wrong(*a) * 1.001)
            onednn_probe.main()
        line = capsys.readouterr().out
        assert line.startswith("differs float32: ")
        assert found in line


def native_convolution(inputs, kernel, strides, pads):
    return jax.lax.conv_general_dilated(
        inputs, kernel, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def native_product(left, right, over, dtype):
    return jax.lax.dot_general(left, right, (((over[0],), (over[1],)), ((), ()))).astype(dtype)
