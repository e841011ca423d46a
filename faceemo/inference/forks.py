"""Detection of forked processes in which JAX would wait for ever for threads that fork left out."""

import os

from jax._src import xla_bridge

from faceemo.errors import UserError

_forked_from: int | None = None  # the process that forked last while JAX was running in it


def _remember_fork() -> None:
    global _forked_from
    if xla_bridge.backends_are_initialized():
        _forked_from = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_remember_fork)


def refuse_forked_process() -> None:
    """Refuses to go on in a process that was forked from one in which JAX was running.

    Raises:
        UserError: If this is such a process.
    """
    if _forked_from not in (None, os.getpid()):
        raise UserError(
            expected="a predictor in a process of its own, because JAX hangs in a forked one",
            found=f"process {os.getpid()}, forked from process {_forked_from}, which uses JAX",
            fix="start it with multiprocessing.get_context('spawn') and call faceemo.load() in it, "
            "or use threads, which can share one predictor",
        )
