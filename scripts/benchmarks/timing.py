"""Times several programs side by side: each in a process of its own, in turns, never two at once.

A machine that slows down for a while then slows all of them, so that ratios keep their meaning.
"""

import contextlib
import importlib.metadata
import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

# What a contestant says when it is ready.
_READY = "ready"
_VERSIONED = (
    "jax",
    "tensorflow-cpu",
    "keras",
    "torch",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "fer",
)


def machine() -> str:
    """One line: processor, cores, memory, and the versions of what may be measured."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").splitlines()
        cpu = next(line for line in lines if line.startswith("model name")).partition(": ")[2]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"Python {platform.python_version()}"]
    for name in _VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB; {', '.join(versions)}"


def answer(tasks: Mapping[str, Callable[[], object]], at_least: float = 0.0) -> None:
    """The contestant's side: says that it is ready, then runs the tasks that it is told to.

    Args:
        tasks: by name; each returns when all work is done. What it prints must not go to standard
            output, which is the line to the referee.
        at_least: seconds; a task runs again and again until they are over, and the median of its
            times is told. Else it runs once. What others left in the caches then counts little,
            as in a training, whose steps follow each other.
    """
    print(_READY, flush=True)
    for line in sys.stdin:
        times: list[float] = []
        while not times or sum(times) < at_least:
            times.append(seconds(tasks[line.strip()]))
        print(statistics.median(times), flush=True)


def side_by_side(
    programs: Mapping[str, Sequence[str]], tasks: Sequence[str], rounds: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, str]]:
    """Seconds of every round of every task of every program, and what the others failed with.

    Args:
        programs: command line by name; each ends in `answer`.
        tasks: what each program can do.
        rounds: how often each task is timed, after one that is not.

    Returns:
        {task: {program: [seconds] of length `rounds`}}, and {program: last line of its errors}.
    """
    seconds = {task: {name: [] for name in programs} for task in tasks}
    failed: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        started = {}
        for name, command in programs.items():
            log = stack.enter_context(tempfile.TemporaryFile("w+"))
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
                )
            )
            started[name] = (process, log)
            if _reply(process) != _READY:
                failed[name] = _last_line(log)
        for number in range(rounds + 1):
            for task, (name, (process, log)) in itertools.product(tasks, started.items()):
                if name in failed:
                    continue
                if not (reply := _told(process, task)):
                    failed[name] = _last_line(log)
                elif number:
                    seconds[task][name].append(float(reply))
    for name, of_task in itertools.product(failed, seconds.values()):
        del of_task[name]
    return seconds, failed


def in_turns(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[float]]:
    """Seconds of whole processes, from start to end, after one round that is not timed.

    Raises:
        CalledProcessError: if one fails.
    """
    found: dict[str, list[float]] = {name: [] for name in commands}
    for number, (name, command) in itertools.product(range(rounds + 1), commands.items()):
        took = seconds(lambda: subprocess.run(command, check=True, capture_output=True))  # noqa: B023
        if number:
            found[name].append(took)
    return found


def seconds(task: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)


def _told(process: subprocess.Popen, task: str) -> str:
    """The reply to a task, or '' from a process that has ended."""
    assert process.stdin is not None
    try:
        process.stdin.write(f"{task}\n")
        process.stdin.flush()
    except BrokenPipeError:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        return ""
    return _reply(process)


def _reply(process: subprocess.Popen) -> str:
    """One line, or '' from a process that has ended."""
    return process.stdout.readline().strip() if process.stdout else ""


def _last_line(log: IO[str]) -> str:
    log.seek(0)
    return ([line.strip() for line in log if line.strip()] or ["no message"])[-1]
