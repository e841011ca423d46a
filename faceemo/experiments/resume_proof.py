"""A check that an interrupted run resumes exactly: it compares two runs of one configuration."""

import contextlib
import math
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from faceemo.errors import UserError
from faceemo.train.checkpoint.digest import digest_items
from faceemo.train.checkpoint.series import Series
from faceemo.train.interrupt import EXIT_CODE

# Interval at which the folder is polled for a save in progress; a save takes at least some
# hundredths of a second.
_POLL_SECONDS = 0.001
_TIMING_METRICS = ("seconds", "images_per_second")


def verify(folder: Path, arguments: Sequence[str], kills: int, seed: int) -> bool:
    """Trains straight through, then with interruptions, and compares the results; prints progress.

    Each process of the interrupted run is killed after a random number of saves, not after a time,
    which would depend on how long it compiles. SIGKILL is sent during a save or, every other time,
    between two saves.

    Args:
        folder: Folder for the two runs, 'straight' and 'killed', and their logs; made if missing.
        arguments: Arguments of `python -m faceemo.main`, without --workdir.
        kills: Number of times that SIGKILL is sent; SIGTERM is sent once, after them.
        seed: Seed of the random points in time.

    Returns:
        Whether every interruption came before the run's end, and all checkpoints and metrics are
        bit-identical.

    Raises:
        UserError: If the folder is in use, a run fails by itself, or it saves too rarely.
    """
    straight, killed = folder / "straight", folder / "killed"
    folder.mkdir(parents=True, exist_ok=True)
    if straight.exists() or killed.exists():
        raise UserError(
            expected=f"a folder without runs at {folder}",
            found=f"{straight if straight.exists() else killed}",
            fix="remove it, or give another folder",
        )
    process = _start(straight, arguments)
    saves = _wait_for_saves(process, straight)
    _finish(process, straight)
    print(f"straight through: {len(saves)} saves")
    max_saves = len(saves) // (kills + 2)  # per process, so that the last is killed in time
    if not max_saves:
        raise UserError(
            expected=f"at least {kills + 2} saves in a run that is interrupted {kills + 1} times",
            found=f"{len(saves)}",
            fix="give a lower --every or --kills, or more epochs",
        )
    rng, interval = random.Random(seed), (saves[-1] - saves[0]) / len(saves)
    all_in_time = True
    for attempt in range(kills + 1):
        number, graceful = rng.randint(1, max_saves), attempt == kills
        wait = rng.uniform(0, interval) if attempt % 2 else 0.0
        process = _start(killed, arguments)
        _wait_for_saves(process, killed, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=wait)
        in_time = process.poll() is None
        process.send_signal(signal.SIGTERM if graceful else signal.SIGKILL)
        code = process.wait()
        if code not in (0, EXIT_CODE if graceful else -signal.SIGKILL):
            _raise_failure(code, killed)
        in_time = in_time and code != 0
        all_in_time = all_in_time and in_time
        where = f"{wait:.2f} s after the start of save {number}" if wait else f"in save {number}"
        print(
            f"{'SIGTERM' if graceful else f'SIGKILL {attempt + 1}'}: "
            f"{where if in_time else 'too late, the run had ended'}"
        )
    _finish(_start(killed, arguments), killed)
    identical = compare_runs(straight, killed)
    if not all_in_time:
        print(
            "NOT PROVEN: an interruption came after the run's end; give a lower --kills or --every"
        )
    return identical and all_in_time


def _start(workdir: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "faceemo.main", *arguments, f"--workdir={workdir}"]
    with _log_path(workdir).open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def _log_path(workdir: Path) -> Path:
    return workdir.with_name(f"{workdir.name}.log")


def _finish(process: subprocess.Popen[bytes], workdir: Path) -> None:
    if code := process.wait():
        _raise_failure(code, workdir)


def _raise_failure(code: int, workdir: Path) -> None:
    output = _log_path(workdir).read_text(encoding="utf-8", errors="replace")
    raise UserError(
        expected="a run that ends without an error",
        found=f"exit code {code}; its output ends with: {' '.join(output.split())[-500:]}",
        fix="correct the arguments until python -m faceemo.main runs with them",
    )


def _wait_for_saves(
    process: subprocess.Popen[bytes], workdir: Path, number: float = math.inf
) -> list[float]:
    """Waits until the process is in its `number`-th save or has ended.

    Returns:
        The time at which each save began, seconds of the monotonic clock.
    """

    def saves_in_progress() -> set[str]:
        return {str(path) for path in workdir.glob("*/*.orbax-checkpoint-tmp*")}

    # Folders that a killed process left behind. The next process removes them, and may save under
    # the same name.
    leftovers = saves_in_progress()
    starts: dict[str, float] = {}
    while len(starts) < number and process.poll() is None:
        current = saves_in_progress()
        leftovers &= current
        for path in current - leftovers:
            starts.setdefault(path, time.monotonic())
        time.sleep(_POLL_SECONDS)
    return list(starts.values())


def compare_runs(straight: Path, killed: Path) -> bool:
    """Returns whether all arrays and metrics of two runs are bit-identical; prints the result."""
    one, two = _compute_digests(straight), _compute_digests(killed)
    different = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
    arrays = sum(bool(re.search("weights|training", name)) for name in one)
    if different:
        print(f"NOT IDENTICAL: {len(different)} of {len(one)} differ: {', '.join(different)}")
    else:
        print(
            f"IDENTICAL: all metrics and {arrays} arrays of parameters, optimizer state and batch "
            "statistics of the interrupted run are those of the straight run, bit for bit"
        )
    return not different


def _compute_digests(workdir: Path) -> dict[str, str]:
    """Computes a digest of every array and of the metrics in a run's newest checkpoints."""
    all_digests = {}
    for name in ("frozen", "latest", "best"):
        arrays = ["weights", "training"] if name == "latest" else ["weights"]
        stored = Series(workdir / name, 1).read_newest(["recipe", "history"], arrays)
        if stored is None:
            raise UserError(
                expected=f"an undamaged checkpoint in {workdir / name}",
                found="none",
                fix="look into that folder and the log beside the run's folder",
            )
        number, items = stored
        epochs = items.get("history", {"epochs": []})["epochs"]
        rows = [{k: v for k, v in row.items() if k not in _TIMING_METRICS} for row in epochs]
        trees = {item: items[item] for item in arrays}
        for leaf, digest in digest_items(trees, {"number": number, "metrics": rows}).items():
            all_digests[f"{name}/{leaf}"] = digest
    return all_digests
