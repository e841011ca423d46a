"""Tests of the fuzzer: a short run on each target, and its report on faulty programs."""

import io
import subprocess
import sys

import pytest
from PIL import Image, UnidentifiedImageError

from tests.support.places import SCRIPTS

pytestmark = pytest.mark.slow

TIMEOUT = 540  # seconds, enough for a busy machine


def run_script(*arguments):
    command = [sys.executable, str(SCRIPTS / "fuzz.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)


@pytest.mark.slow(seconds=25)
@pytest.mark.parametrize("target", ["predictor", "zip", "server"])
def test_damaged_inputs_lead_to_results_or_errors(tmp_path, target):
    process = run_script("--target", target, "--inputs", 100, "--seed", 11, "--out", tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.startswith("100 inputs")
    assert not list(tmp_path.iterdir())


# A program that responds as the worker does, but fails on some inputs.
_PROGRAM = """
import json, os, signal, sys, time
print("ready", flush=True)
count = 0
for line in sys.stdin:
    content = open(line.strip(), "rb").read()
    damaged = b"JFIF" not in content[:20] and content[:1] == b"\\xff"
    result = {{"outcome": "fine", "failure": "", "seconds": 0.0, "idle": 0.0, "peak": 100.0}}
    count += 1
    result["megabytes"] = 100.0
    if damaged:  # the header of a JPEG
        {on_damaged}
    {always}
    print(json.dumps(result), flush=True)
"""
FAULTS = {
    "the process ended: SIGSEGV": "os.kill(os.getpid(), signal.SIGSEGV)",
    "the process ended: SIGPROF (a hang)": "os.kill(os.getpid(), signal.SIGPROF)",
    "the process ended: exit code 3": "sys.exit(3)",
    "KeyError at x.py:1": "result.update(outcome='KeyError at x.py:1', failure='Traceback')",
    "slow": "result['seconds'] = 1.2",
    "waiting": "result['idle'] = 1.2",
}


@pytest.fixture
def make_fuzzer(monkeypatch, tmp_path):
    """Returns a function that makes a fuzzer whose worker is the program above."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from fuzzing import fuzzer

    def make(on_damaged="pass", always="pass"):
        program = tmp_path / "program.py"
        program.write_text(_PROGRAM.format(on_damaged=on_damaged, always=always))
        return fuzzer.Fuzzer("predictor", tmp_path / "out", [sys.executable, str(program)])

    return make


@pytest.mark.parametrize("kind", FAULTS)
def test_a_failure_is_reported_and_its_input_is_saved(make_fuzzer, kind):
    fuzzer = make_fuzzer(FAULTS[kind])
    fuzzer.run(300, seed=0)
    assert list(fuzzer.failures) == [kind]
    path, _ = fuzzer.failures[kind]
    content = path.read_bytes()
    assert content[:1] == b"\xff"
    assert b"JFIF" not in content[:20]
    assert f"FAILED: {kind}" in fuzzer.format_report()
    assert f"--replay {path}" in fuzzer.format_report()
    again = make_fuzzer(FAULTS[kind])
    again.replay(path)
    assert list(again.failures) == [kind]


def test_memory_growth_is_reported(make_fuzzer, monkeypatch):
    fuzzer = make_fuzzer(always="result['megabytes'] += count * 0.5")
    module = sys.modules[type(fuzzer).__module__]
    assert module.MIN_INPUTS_FOR_GROWTH <= 1000
    monkeypatch.setattr(module, "MIN_INPUTS_FOR_GROWTH", 100)
    fuzzer.run(100, seed=0)
    assert [kind.partition(" ")[2] for kind in fuzzer.failures] == ["MiB more memory"]


def test_a_sound_program_passes_and_the_seed_determines_the_inputs(make_fuzzer):
    def sizes(seed):
        fuzzer = make_fuzzer(always="result['outcome'] = str(len(content))")
        fuzzer.run(60, seed)
        assert not fuzzer.failures
        assert "FAILED" not in fuzzer.format_report()
        return [result["outcome"] for result in fuzzer.results]

    first = sizes(3)
    assert len(first) == 60
    assert sizes(3) == first
    assert sizes(4) != first


def test_png_checksums_are_repaired(monkeypatch):
    """Pillow is the reference: it reads a changed PNG only after the repair."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from fuzzing import corpus, mutation

    content = bytearray(corpus.images()["text.png"])
    at = content.index(b"IHDR") + 8 + 8  # the bit depth
    content[at] = 4
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(bytes(content)))
    assert mutation.repair_png_checksums(bytes(content)) != bytes(content)
    assert Image.open(io.BytesIO(mutation.repair_png_checksums(bytes(content)))).size == (40, 40)
    assert mutation.repair_png_checksums(corpus.images()["L.png"]) == corpus.images()["L.png"]
    assert mutation.repair_png_checksums(b"GIF89a") == b"GIF89a"


def test_every_path_of_the_server_is_requested(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from fuzzing import corpus

    requested = {content.split()[1].decode() for content in corpus.requests().values()}
    assert {"/", "/style.css", "/demo.js", "/examples/happy.png", "/api/health"} <= requested
    assert "/demo.css" not in requested
