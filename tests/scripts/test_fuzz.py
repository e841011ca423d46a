"""A short run of the fuzzer over each target, and what it says of programs that are not well."""

import io
import subprocess
import sys

import pytest
from PIL import Image, UnidentifiedImageError

from tests.support.places import SCRIPTS

BUDGET = 540  # seconds of the clock, on a machine that is busy


def fuzz(*arguments):
    command = [sys.executable, str(SCRIPTS / "fuzz.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=BUDGET)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["predictor", "zip", "server"])
def test_damaged_inputs_end_in_answers_or_refusals(tmp_path, target):
    process = fuzz("--target", target, "--inputs", 200, "--seed", 11, "--out", tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.startswith("200 inputs")
    assert not list(tmp_path.iterdir())


# What a target may do wrong with one input of the many, as a program that answers like the worker.
_PROGRAM = """
import json, os, signal, sys, time
print("ready", flush=True)
kept = 0
for line in sys.stdin:
    content = open(line.strip(), "rb").read()
    hit = b"JFIF" not in content[:20] and content[:1] == b"\\xff"  # a JPEG's header is damaged
    answer = {{"outcome": "fine", "failure": "", "seconds": 0.0, "idle": 0.0, "peak": 100.0}}
    kept += 1
    answer["megabytes"] = 100.0
    if hit:
        {what}
    {always}
    print(json.dumps(answer), flush=True)
"""
ILL = {
    "the process ended: SIGSEGV": "os.kill(os.getpid(), signal.SIGSEGV)",
    "the process ended: SIGPROF (a hang)": "os.kill(os.getpid(), signal.SIGPROF)",
    "the process ended: exit code 3": "sys.exit(3)",
    "KeyError at x.py:1": "answer.update(outcome='KeyError at x.py:1', failure='Traceback')",
    "slow": "answer['seconds'] = 1.2",
    "waiting": "answer['idle'] = 1.2",
}


@pytest.fixture
def referee(monkeypatch, tmp_path):
    """Makes one whose target is the program above."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from fuzzing import referee

    def make(what="pass", always="pass"):
        program = tmp_path / "program.py"
        program.write_text(_PROGRAM.format(what=what, always=always))
        return referee.Referee("predictor", tmp_path / "out", [sys.executable, str(program)])

    return make


@pytest.mark.parametrize("kind", ILL)
def test_what_is_ill_is_told_and_its_input_is_kept(referee, kind):
    judge = referee(ILL[kind])
    judge.run(300, seed=0)
    assert list(judge.failures) == [kind]
    path, _ = judge.failures[kind]
    content = path.read_bytes()
    assert content[:1] == b"\xff"
    assert b"JFIF" not in content[:20]
    assert f"FAILED: {kind}" in judge.report()
    assert f"--replay {path}" in judge.report()
    again = referee(ILL[kind])
    again.replay(path)
    assert list(again.failures) == [kind]


def test_growth_is_told(referee):
    judge = referee(always="answer['megabytes'] += kept * 0.05")
    judge.run(1000, seed=0)
    assert [kind.partition(" ")[2] for kind in judge.failures] == ["MiB more memory"]


def test_one_that_is_well_is_told_so_and_the_same_seed_makes_the_same_inputs(referee):
    def sizes(seed):
        judge = referee(always="answer['outcome'] = str(len(content))")
        judge.run(150, seed)
        assert not judge.failures
        assert "FAILED" not in judge.report()
        return [answer["outcome"] for answer in judge.answers]

    assert len(sizes(3)) == 150
    assert sizes(3) == sizes(3)
    assert sizes(3) != sizes(4)


def test_mended_pngs_are_whole_again(monkeypatch):
    """Pillow is the oracle: after a change in the pixels it reads the mended file alone."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from fuzzing import corpus, mutation

    content = bytearray(corpus.images()["text.png"])
    at = content.index(b"IHDR") + 8 + 8  # its bit depth
    content[at] = 4
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(bytes(content)))
    assert mutation.mend_png(bytes(content)) != bytes(content)
    assert Image.open(io.BytesIO(mutation.mend_png(bytes(content)))).size == (40, 40)
    assert mutation.mend_png(corpus.images()["L.png"]) == corpus.images()["L.png"]
    assert mutation.mend_png(b"GIF89a") == b"GIF89a"


def test_every_address_of_the_server_is_asked(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from fuzzing import corpus

    asked = {content.split()[1].decode() for content in corpus.requests().values()}
    assert {"/", "/style.css", "/demo.js", "/examples/happy.png", "/api/health"} <= asked
    assert "/demo.css" not in asked
