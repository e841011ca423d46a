"""Requests to stop: the current step is finished and saved before the process ends."""

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

# EX_TEMPFAIL of sysexits.h, "try again later": the run is saved and the same command resumes it.
# Not 128 + signal, which is also the exit code of a process that saved nothing.
EXIT_CODE = 75


class Stopped(Exception):
    """The run was asked to stop, and its state is saved."""


@contextlib.contextmanager
def catch_signals() -> Iterator[Callable[[], bool]]:
    """Catches SIGTERM and SIGINT and yields a function that returns whether to stop now.

    Every process has to call that function once per step: several processes stop at the same call,
    whichever of them received the signal. In a single process, a second signal has its usual
    effect.
    """
    if jax.process_count() > 1:
        yield from _catch_in_all_processes()
        return
    received = threading.Event()

    def receive(number: int, frame: object) -> None:
        del frame
        received.set()
        for other in former:
            signal.signal(other, former[other])
        # Not print, which the signal may have interrupted.
        os.write(2, f"\n{signal.Signals(number).name}: saving after this step\n".encode())

    former = {}
    # Python allows handlers in the main thread alone; elsewhere its owner decides.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            former[number] = signal.signal(number, receive)
    try:
        yield received.is_set
    finally:
        for number in former:
            signal.signal(number, former[number])


def _catch_in_all_processes() -> Iterator[Callable[[], bool]]:
    """Lets JAX catch SIGTERM in any of several processes and have them agree on a step."""
    calls = itertools.count()

    def receive(number: int, frame: object) -> None:
        del number, frame
        os.kill(os.getpid(), signal.SIGTERM)

    former = signal.signal(signal.SIGINT, receive)
    try:
        yield lambda: bool(multihost_utils.reached_preemption_sync_point(next(calls)))
    finally:
        signal.signal(signal.SIGINT, former)
