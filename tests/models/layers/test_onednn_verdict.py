"""Nothing but a good verdict of the probe lets oneDNN be used."""

import json
import os
import subprocess
import sys

import jax
import jax.export
import pytest

from faceemo.errors import UserError
from faceemo.models.layers import (
    onednn,
    onednn_probe,
    onednn_verdict,
)

pytestmark = pytest.mark.slow


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
