"""Checks that a process keeps its memory: by the page faults that it causes, and by the switch."""

import subprocess
import sys

import pytest

from faceemo.commands import heap
from tests.support.places import REPOSITORY

pytestmark = pytest.mark.skipif(not heap._has_glibc(), reason="memory is kept with glibc alone")

# Allocates and frees 32 MiB ten times, in a thread, as XLA does. A page has 4 KiB or more.
_PROGRAM = """
import resource, sys, threading
from faceemo.commands import heap
from tests.support.places import REPOSITORY

def work():
    for _ in range(10):
        block = b"1" * 2**25
        del block

print(heap.keep())
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(**environment):
    """Returns whether the process keeps its memory, and its later page faults."""
    printed = subprocess.check_output(
        [sys.executable, "-c", _PROGRAM], cwd=REPOSITORY, env=environment, text=True
    ).split()
    return printed[0] == "True", int(printed[1])


def test_freed_memory_is_used_again():
    kept, faults = run()
    assert kept
    assert faults < 200


@pytest.mark.parametrize("variable", ["FACEEMO_KEEP_HEAP=0", "MALLOC_ARENA_MAX=8"])
def test_the_user_decides(variable):
    name, value = variable.split("=")
    kept, faults = run(**{name: value})
    assert not kept
    assert faults > 2000


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("os.confstr", lambda name: None)
    assert not heap.keep()
