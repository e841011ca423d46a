"""Silence for other people's libraries, whose notices mean nothing to the user of an export."""

import contextlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator

from faceemo.errors import UserError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what Python, and C++ beneath it, write to the terminal within the context.

    TensorFlow's converter, for example, logs past Python, straight to file descriptor 2. What was
    kept is written after all if the context ends in an error, unless that has a message of its own
    for the user. It holds for the whole process, so only calls of other libraries belong inside.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as noise:
        try:
            with (
                _redirected(noise.fileno()),
                # where Python's streams are not the descriptors, as in a notebook
                contextlib.redirect_stdout(noise),
                contextlib.redirect_stderr(noise),
                warnings.catch_warnings(),
            ):
                warnings.filterwarnings("ignore", module="(?!faceemo)")
                yield
        except (UserError, OSError, KeyboardInterrupt):
            raise
        except BaseException:
            noise.flush()
            noise.seek(0)
            shutil.copyfileobj(noise, sys.stderr)
            raise


@contextlib.contextmanager
def _redirected(target: int) -> Iterator[None]:
    """Redirects the process's stdout and stderr to a file descriptor."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    saved = {}
    for stream in streams:
        stream.flush()
    for number in (1, 2):
        with contextlib.suppress(OSError):  # a service may have closed it
            saved[number] = os.dup(number)
            os.dup2(target, number)
    try:
        yield
    finally:
        for stream in streams:
            stream.flush()
        for number, copy in saved.items():
            os.dup2(copy, number)
            os.close(copy)
