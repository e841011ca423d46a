"""Zips of drawn images, each drawn once for all processes of a test run."""

import contextlib
import io
import os
import shutil
from pathlib import Path

import filelock

from faceemo.data.sample import sample
from tests.support.places import SHARED


def write(root, seed, counts=None):
    """Writes what `sample.write_zip` writes, and prints nothing; returns the path of the zip."""
    counts = counts or sample.DEFAULT_COUNTS
    drawn = Path(os.environ[SHARED], "drawn", "-".join(map(str, (seed, *counts.values()))))
    drawn.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{drawn}.lock"):
        if not (drawn / sample.ZIP_NAME).exists():  # it is written last, and whole
            with contextlib.redirect_stdout(io.StringIO()):
                sample.write_zip(drawn, seed, counts)
    shutil.copytree(drawn, root, dirs_exist_ok=True)
    return Path(root) / sample.ZIP_NAME
