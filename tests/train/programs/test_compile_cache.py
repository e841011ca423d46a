"""A second process loads the programs that the first one compiled, and computes the same."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.places import REPOSITORY

# Prints the number of programs found on disk, and the bits of a result.
PROGRAM = """
import json, jax
from faceemo.train.programs import compile_cache

found = []
jax.monitoring.register_event_listener(lambda name, **_: found.append(name))
compile_cache._MIN_SECONDS = 0.0
compile_cache.enable()
step = jax.pmap(lambda x: jax.numpy.sin(x) @ x.T, donate_argnums=0)
value = step(jax.numpy.linspace(0, 1, 4096).reshape(1, 64, 64))
print(json.dumps([found.count("/jax/compilation_cache/cache_hits"), float(value.sum()).hex()]))
"""


def compile_in_process(**environment):
    inherited = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=REPOSITORY,
        env=inherited | {"XLA_FLAGS": ""} | environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert process.returncode == 0, process.stderr
    assert "warn" not in process.stderr.lower()
    return json.loads(process.stdout)


@pytest.mark.slow
def test_a_second_start_finds_every_program_and_the_same_numbers(tmp_path):
    hits, value = compile_in_process(FACEEMO_CACHE=str(tmp_path))
    assert hits == 0
    again, same = compile_in_process(FACEEMO_CACHE=str(tmp_path))
    assert again > 0
    assert same == value
    assert {path.name for path in tmp_path.iterdir()} == {"compiled"}


def test_a_folder_set_by_the_user_is_used_instead(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    compile_in_process(FACEEMO_CACHE=str(ours), JAX_COMPILATION_CACHE_DIR=str(theirs))
    assert not ours.exists()
