"""Times several programs side by side: each in its own process, in turns, never two at once.

If the machine slows down for a while, it slows all of them, so that ratios stay meaningful.
"""

import contextlib
import importlib.metadata
import itertools
import math
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

_READY = "ready"  # the line that a program prints before it accepts tasks
_VERSIONED_PACKAGES = (
    "jax",
    "tensorflow-cpu",
    "keras",
    "torch",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "fer",
)


def describe_machine() -> str:
    """Returns one line: processor, cores, memory, and versions of the measured packages."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").splitlines()
        cpu = next(line for line in lines if line.startswith("model name")).partition(": ")[2]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"Python {platform.python_version()}"]
    for name in _VERSIONED_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB; {', '.join(versions)}"


def run_tasks(tasks: Mapping[str, Callable[[], object]], min_seconds: float = 0.0) -> None:
    """Runs the tasks that `time_tasks` requests on standard input, and prints their times.

    Args:
        tasks: Functions by name; each returns when its work is done. They must not print to
            standard output, which carries the times.
        min_seconds: A task is repeated for at least this time, and the median of its times is
            printed; it runs once if this is 0. Repetition warms the CPU's caches, as in training,
            where one step follows another.
    """
    print(_READY, flush=True)
    for line in sys.stdin:
        times: list[float] = []
        while not times or sum(times) < min_seconds:
            times.append(time_call(tasks[line.strip()]))
        print(statistics.median(times), flush=True)


def time_tasks(
    programs: Mapping[str, Sequence[str]],
    tasks: Sequence[str],
    rounds: int,
    *,
    restart: bool = False,
) -> tuple[dict[str, dict[str, list[float]]], dict[str, str]]:
    """Times every task of every program in turns.

    Args:
        programs: Command line of each program by name; each calls `run_tasks`.
        tasks: Names of the tasks, which every program has.
        rounds: How often each task is timed, after one untimed round.
        restart: Whether every round has new processes, and an untimed round of its own. The memory
            that a process happens to get decides its speed for as long as it runs, so that the
            rounds of one process may be closer to each other than to those of the next.

    Returns:
        {task: {program: [seconds] of length `rounds`}}, and for programs that failed {program: last
        line of its error output}.
    """
    seconds = {task: {name: [] for name in programs} for task in tasks}
    failed: dict[str, str] = {}
    for count in [1] * rounds if restart else [rounds]:
        running = {name: command for name, command in programs.items() if name not in failed}
        failed |= _time_rounds(running, seconds, count)
    for name, seconds_by_program in itertools.product(failed, seconds.values()):
        del seconds_by_program[name]
    return seconds, failed


def _time_rounds(
    programs: Mapping[str, Sequence[str]], seconds: dict[str, dict[str, list[float]]], rounds: int
) -> dict[str, str]:
    """Starts the programs and adds their times to `seconds`; returns the failed ones' reasons."""
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
            if not _wait_until_ready(process):
                failed[name] = last_line(log)
        for number in range(rounds + 1):
            for task, (name, (process, log)) in itertools.product(seconds, started.items()):
                if name in failed:
                    continue
                if not (reply := _request(process, task)):
                    failed[name] = last_line(log)
                elif number:
                    seconds[task][name].append(float(reply))
    return failed


def time_processes(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[float]]:
    """Times whole processes in turns, from start to end, after one untimed round.

    Returns:
        {command: [seconds] of length `rounds`}.

    Raises:
        CalledProcessError: If one fails.
    """
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number, (name, command) in itertools.product(range(rounds + 1), commands.items()):
        elapsed = time_call(lambda: subprocess.run(command, check=True, capture_output=True))  # noqa: B023
        if number:
            seconds[name].append(elapsed)
    return seconds


def time_call(task: Callable[[], object]) -> float:
    """Returns the seconds that one call takes."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def time_turns(
    launch: Callable[[], object], wait: Callable[[], object], rounds: int, min_seconds: float
) -> list[float]:
    """Times calls that an accelerator carries out one after the other while the host goes on.

    Args:
        launch: Starts one call.
        wait: Returns when all calls that were started are done.
        rounds: Number of timed turns, after untimed calls that warm up.
        min_seconds: Calls are repeated in a turn so that it takes about this time.

    Returns:
        Seconds a call of each turn.
    """

    def run(count: int) -> None:
        for _ in range(count):
            launch()
        wait()

    run(1)
    count = max(1, math.ceil(min_seconds / max(time_call(lambda: run(1)), 1e-6)))
    return [time_call(lambda: run(count)) / count for _ in range(rounds)]


def median_and_range(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns median, smallest and largest value."""
    return statistics.median(values), min(values), max(values)


def _request(process: subprocess.Popen, task: str) -> str:
    """Requests a task and returns the reply, or '' if the process has ended."""
    assert process.stdin is not None
    try:
        process.stdin.write(f"{task}\n")
        process.stdin.flush()
    except BrokenPipeError:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        return ""
    return _read_line(process)


def _wait_until_ready(process: subprocess.Popen) -> bool:
    """Reads what a program prints before it accepts tasks; False if it ends before."""
    while line := _read_line(process):
        if line == _READY:
            return True
    return False


def _read_line(process: subprocess.Popen) -> str:
    """Reads one line of output, or '' if the process has ended."""
    return process.stdout.readline().strip() if process.stdout else ""


def last_line(log: IO[str]) -> str:
    """Returns the last line of a program's error output."""
    log.seek(0)
    return ([line.strip() for line in log if line.strip()] or ["no message"])[-1]
