"""Checks that a process keeps its memory: by the page faults that it causes, and by the switch."""

import subprocess
import sys

import pytest

from faceemo.commands import heap
from tests.support.places import REPOSITORY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not heap._has_glibc(), reason="memory is kept with glibc alone"),
]

# Two threads allocate and free blocks of 32 MiB, as XLA does. A page has 4 KiB or more. More than
# one block is more than glibc's arena of a thread holds.
_PROGRAM = """
import resource, sys, threading
from faceemo.commands import heap
from tests.support.places import REPOSITORY

def work():
    for _ in range(10):
        blocks = [b"1" * 2**25 for _ in range(3)]
        del blocks

print(heap.keep())
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
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
