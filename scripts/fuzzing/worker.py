"""Program that the fuzzer runs: gives a target one file after the other.

    python -m fuzzing.worker TARGET FOLDER

It reads paths, one per line, from standard input, and prints a line of JSON for each: the outcome
in a few words, CPU time, size of the images, idle time, memory afterwards, and the traceback of an
unexpected exception.
"""

import ctypes
import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from fuzzing.idle_time import IdleTimer

READY = "ready"
# Limits after which the process is killed: CPU time for an endless loop, and wall-clock time for an
# endless wait. The latter is long because a busy machine must not count as a hang.
_CPU_LIMIT, _CLOCK_LIMIT = 20, 900  # seconds
# Inputs between two collections of garbage. The C library then returns unused pages, too: without
# this the predictor's memory has two levels, 55 MiB apart, between which single inputs move it.
_GC_INTERVAL = 50


def main(target: str, folder: Path) -> None:
    """Runs the target on files until standard input ends."""
    # Only results go to standard output; everything else that is printed goes to the log.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from fuzzing import targets

    run = targets.TARGETS[target](folder)
    idle_timer = IdleTimer()
    print(READY, file=results, flush=True)
    for number, line in enumerate(sys.stdin):
        if number % _GC_INTERVAL == 0:
            gc.collect()
            _return_unused_pages()
        result = _measure(run, Path(line.rstrip("\n")), idle_timer)
        print(json.dumps(result), file=results, flush=True)


def _measure(
    run: Callable[[Path], tuple[str, float]], path: Path, idle_timer: IdleTimer
) -> dict[str, object]:
    # The default action of both signals ends the process, even inside a library's C code.
    signal.setitimer(signal.ITIMER_PROF, _CPU_LIMIT)
    signal.alarm(_CLOCK_LIMIT)
    started, idle_before = time.process_time(), idle_timer.seconds
    failure, megapixels = "", 0.0
    try:
        outcome, megapixels = run(path)
    except Exception as error:
        outcome, failure = _describe(error), traceback.format_exc()
    seconds = time.process_time() - started
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    return {
        "outcome": outcome,
        "failure": failure,
        "seconds": seconds,
        "megapixels": megapixels,
        "idle": idle_timer.seconds - idle_before,
        "megabytes": _resident_megabytes(),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }


def _describe(error: Exception) -> str:
    """Returns the exception's type and the line that raised it; equal texts count as one bug."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def _return_unused_pages() -> None:
    """Returns unused pages to the system where the C library is glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident_megabytes() -> float:
    """Returns the resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
