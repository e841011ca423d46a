"""Python programs in processes that are forked from one that has imported the libraries already.

Importing JAX, TensorFlow and Orbax takes seconds of processor time; the tests start such programs
dozens of times. Each still has a process of its own, with its own arguments, environment, signals
and devices: the process that it is forked from runs nothing. Where a platform cannot fork,
multiprocessing says so.
"""

import atexit
import functools
import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.places import REPOSITORY

_TENSORFLOW = "tensorflow"
_LIBRARIES = [
    _TENSORFLOW,
    "sklearn.metrics",
    "matplotlib.pyplot",
    "orbax.checkpoint",
    "faceemo.experiments.run",
    "faceemo.train.checkpoint.event_writer",
    "faceemo.train.loop",
]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_LIBRARIES)


def leave_out_tensorflow():
    """Leaves the longest import to the programs that need it; called before the first starts."""
    _CONTEXT.set_forkserver_preload([name for name in _LIBRARIES if name != _TENSORFLOW])


@functools.cache
def _make_folder():
    """Makes the folder of what the programs print, which lasts as long as this process."""
    folder = tempfile.mkdtemp(prefix="faceemo-printed-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Process:
    """A running `python -m MODULE ARGUMENTS`, with the part of `subprocess.Popen` that tests use.

    A `Path` to a program stands for `python PATH ARGUMENTS`.

    Attributes:
        returncode: Exit code, negative for a signal; None while it runs.
    """

    def __init__(self, module, *arguments, **environment):
        """Starts the program in the checkout.

        `environment` is added to this process's; None removes a variable.
        """
        merged = {k: v for k, v in (os.environ | environment).items() if v is not None}
        folder = Path(tempfile.mkdtemp(dir=_make_folder()))
        self._streams = [folder / "output", folder / "errors"]
        self._process = _CONTEXT.Process(
            target=_run,
            args=(module, [str(a) for a in arguments], merged, self._streams),
        )
        self._process.start()

    @property
    def returncode(self):
        return self._process.exitcode

    def send_signal(self, number):
        if self._process.is_alive():
            os.kill(self._process.pid, number)

    def kill(self):
        self._process.kill()
        self._process.join()

    def communicate(self, timeout=None):
        """Waits for the end; returns (standard output, standard error).

        Raises:
            subprocess.TimeoutExpired: It still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return tuple(path.read_text() for path in self._streams)


def run(module, *arguments, timeout=500, **environment):
    """Runs `python -m MODULE ARGUMENTS` in the checkout; returns the finished process."""
    process = Process(module, *arguments, **environment)
    try:
        output, errors = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess([module, *arguments], process.returncode, output, errors)


def _run(module, arguments, environment, streams):
    """Becomes `python -m MODULE ARGUMENTS`, with standard streams in two files."""
    for stream, path in zip((sys.stdout, sys.stderr), streams, strict=True):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(REPOSITORY)
    sys.argv = [str(module), *arguments]
    if isinstance(module, Path):
        sys.path.insert(0, str(module.parent))  # as `python PATH` does
        runpy.run_path(str(module), run_name="__main__")
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
