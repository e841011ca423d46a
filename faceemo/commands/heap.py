"""Memory that a process keeps: freed memory is used again, not given back to the system."""

import ctypes
import os

_SWITCH = "FACEEMO_KEEP_HEAP"
# glibc's own variables: who sets one of them has chosen.
_GLIBC_VARIABLES = ("MALLOC_ARENA_MAX", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")
# Parameters of mallopt, in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep() -> bool:
    """Makes this process keep the memory that it frees, for as long as it runs.

    XLA allocates the memory of a step on a CPU when the step begins and frees it at the end. glibc
    gives it back to the system each time, which then clears it page by page for the next step, in
    up to a quarter of the step's time. Must be called before JAX computes; only
    processes that compute for long should call it, since their memory never shrinks.

    Returns:
        True if it does. False without glibc, if $FACEEMO_KEEP_HEAP is 0, or if one of glibc's own
        variables ($MALLOC_ARENA_MAX, for example) is set, which is then left to decide.
    """
    if os.environ.get(_SWITCH) == "0" or any(name in os.environ for name in _GLIBC_VARIABLES):
        return False
    if not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # All are needed. Threads would otherwise allocate in arenas of their own, which are given back.
    settings = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())


def _has_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # not Linux, or another C library
        return False
