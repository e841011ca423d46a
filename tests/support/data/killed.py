"""Unpacks or prepares folders in processes that are killed on the way.

    python -m tests.support.data.killed unpack|prepare ROOT AFTER [ROOT AFTER ...]

Each folder has its own process, which is killed at its change number AFTER of the disk: before the
change, or half way through it if it is a write. The processes are forked, because imports take
seconds. Prints the output of the work, 'changes N' if it ended, and 'ended CODE', where the code is
negative for a signal.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from faceemo.data.measure import face_detector, measure
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from tests.support.data import planted
from tests.support.places import REPOSITORY

NEVER = 10**6
CHANGES = (
    (Path, "write_bytes"),
    (Path, "replace"),
    (Path, "mkdir"),
    (shutil, "copyfile"),
    (shutil, "rmtree"),
    (measure.Store, "add"),
)


def start(work, runs):
    """Starts this module for pairs (root, after) and returns the process."""
    words = [str(word) for pair in runs for word in pair]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.data.killed", work, *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(work, runs):
    """Runs this module for pairs (root, after); returns its lines 'changes N' and 'ended CODE'."""
    process = start(work, runs)
    try:
        output, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return [line for line in output.splitlines() if line.startswith(("changes", "ended"))]


def count_changes(last):
    """Makes this process kill itself at change number `last`; returns a function for the count."""
    changes = 0

    def counted(function):
        def call(*arguments, **options):
            nonlocal changes
            changes += 1
            if changes == last:
                if function.__name__ == "write_bytes":
                    path, content = arguments
                    function(path, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for owner, name in CHANGES:
        setattr(owner, name, counted(getattr(owner, name)))
    return lambda: changes


def prepare_planted(root):
    """Prepares with the stand-in detector, in many small batches, without pictures."""
    measure._BATCH_SIZE = 4
    face_detector.Detector = planted.StandInDetector
    planted.stub_pictures()
    prepare.prepare(root, planted.RULES)


def main(work, *words):
    work = {"unpack": archive.ensure_originals, "prepare": prepare_planted}[work]
    for root, after in zip(words[::2], words[1::2], strict=True):
        child = os.fork()
        if not child:
            changes = count_changes(int(after))
            work(Path(root))
            print("changes", changes(), flush=True)
            os._exit(0)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
