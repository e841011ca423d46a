"""Detection of forked processes that would wait for ever for threads that fork left out."""

import os
import sys

from faceemo.errors import UserError

_forked_from: tuple[int, str] | None = None  # process that forked last, and the library in it
_running = ""  # a library, other than JAX, whose threads run in this process


def note_threads(library: str) -> None:
    """Notes that a library runs threads in this process."""
    global _running
    _running = library


def _find_running() -> str:
    """Returns the name of a library whose threads run in this process, or ''."""
    # imported by whoever uses JAX
    bridge = sys.modules.get("jax._src.xla_bridge")
    return "JAX" if bridge and bridge.backends_are_initialized() else _running


def _remember_fork() -> None:
    global _forked_from
    if library := _find_running():
        _forked_from = os.getpid(), library


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_remember_fork)


def refuse_forked_process() -> None:
    """Refuses to go on in a process that was forked from one in which JAX or onnxruntime ran.

    Raises:
        UserError: If this is such a process.
    """
    if _forked_from and _forked_from[0] != os.getpid():
        process, library = _forked_from
        raise UserError(
            expected=f"a predictor in a process of its own, because {library} hangs in a forked "
            "one",
            found=f"process {os.getpid()}, forked from process {process}, which uses {library}",
            fix="start it with multiprocessing.get_context('spawn') and call faceemo.load() in it, "
            "or use threads, which can share one predictor",
        )
