"""Run as a program: takes files one after the other and says what became of each.

    python -m fuzzing.worker TARGET FOLDER

A line on standard input is the path of a file; the answer is a line of JSON: the outcome in a few
words, seconds of the processor and seconds without work, the memory afterwards, and, if there was
an exception that should not be, its traceback.
"""

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

from fuzzing.idleness import Idleness

READY = "ready"
# Of the processor, after which a process ends, whatever it is in the middle of; of the clock, for
# one that waits for ever. A machine that is busy must not count as a hang.
_HANG, _STANDSTILL = 20, 900
_LEAST_AGE = 50  # inputs between two collections of garbage, before memory is read


def main(target: str, folder: Path) -> None:
    """Answers until standard input ends."""
    # the line to the referee; whatever else is printed goes to the log
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from fuzzing import targets

    run = targets.TARGETS[target](folder)
    idleness = Idleness()
    print(READY, file=answers, flush=True)
    for number, line in enumerate(sys.stdin):
        if number % _LEAST_AGE == 0:
            gc.collect()
        print(json.dumps(_answer(run, Path(line.rstrip("\n")), idleness)), file=answers, flush=True)


def _answer(run: Callable[[Path], str], path: Path, idleness: Idleness) -> dict[str, object]:
    # their default action is the end of the process, in the middle of a library's C code too
    signal.setitimer(signal.ITIMER_PROF, _HANG)
    signal.alarm(_STANDSTILL)
    started, rested = time.process_time(), idleness.seconds
    failure = ""
    try:
        outcome = run(path)
    except Exception as error:
        outcome, failure = _where(error), traceback.format_exc()
    seconds = time.process_time() - started
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    return {
        "outcome": outcome,
        "failure": failure,
        "seconds": seconds,
        "idle": idleness.seconds - rested,
        "megabytes": _megabytes(),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }


def _where(error: Exception) -> str:
    """Kind of an exception and the line that raised it: what makes two failures one bug."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def _megabytes() -> float:
    """Memory of this process that is resident now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
