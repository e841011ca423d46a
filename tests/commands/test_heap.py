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

# Two threads allocate and free blocks of 32 MiB at the same time, as XLA does. More than one block
# is more than the arena of a thread in glibc holds.
_PROGRAM = """
import resource, sys, threading
from faceemo.commands import heap
from tests.support.places import REPOSITORY

def work():
    for _ in range(10):
        blocks = [b"1" * 2**25 for _ in range(3)]
        all_allocated.wait()
        del blocks

all_allocated = threading.Barrier(2)

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


@pytest.fixture(scope="module")
def faults_of_new_memory():
    """Page faults where every block is new memory: thousands, or hundreds with huge pages."""
    kept, faults = run(FACEEMO_KEEP_HEAP="0")
    assert not kept
    return faults


def test_freed_memory_is_used_again(faults_of_new_memory):
    kept, faults = run()
    assert kept
    # Small objects may take the place of a block or two, of 60.
    assert faults < faults_of_new_memory / 10


def test_glibc_variables_of_the_user_decide(faults_of_new_memory):
    kept, faults = run(MALLOC_ARENA_MAX="8")
    assert not kept
    assert faults > faults_of_new_memory / 2


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("os.confstr", lambda name: None)
    assert not heap.keep()
