"""The proof that a killed run resumes exactly: two runs of one configuration, compared."""

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
from faceemo.train.checkpoint.series import Series
from faceemo.train.digest import digests
from faceemo.train.interrupt import EXIT_CODE

# Between two looks for a save under way, seconds: a save takes some hundredths at least.
_LOOK = 0.001
_TIMING = ("seconds", "images_per_second")


def verify(folder: Path, arguments: Sequence[str], kills: int, seed: int) -> bool:
    """Trains twice, once with interruptions; prints what it does and the verdict.

    Every life of the second run ends some saves after it began, since time says little: the first
    run may have to compile. SIGKILL strikes inside a save or, every other time, between two.

    Args:
        folder: made if need be; for the two runs, 'straight' and 'killed', and what they print.
        arguments: of `python -m faceemo.main`, without --workdir.
        kills: how often SIGKILL strikes; SIGTERM does once.
        seed: of the points in time.

    Returns:
        whether every interruption came in time, and all checkpoints and metrics are bit-identical.

    Raises:
        UserError: if the folder is in use, a run fails by itself, or it saves too rarely.
    """
    straight, killed = folder / "straight", folder / "killed"
    folder.mkdir(parents=True, exist_ok=True)
    if straight.exists() or killed.exists():
        raise UserError(
            expected=f"a folder for two new runs at {folder}", found="older ones", fix="remove them"
        )
    process = _start(straight, arguments)
    saves = _await_saves(process, straight)
    _finish(process, straight)
    print(f"straight through: {len(saves)} saves")
    most = len(saves) // (kills + 2)  # in one life, so that the last ends before the run does
    if not most:
        raise UserError(
            expected=f"at least {kills + 2} saves in a run that is to be interrupted {kills + 1} "
            "times",
            found=f"{len(saves)}",
            fix="give a lower --every or --kills, or more epochs",
        )
    draw, gap = random.Random(seed), (saves[-1] - saves[0]) / len(saves)
    in_time = True
    for life in range(kills + 1):
        number, asked = draw.randint(1, most), life == kills
        wait = draw.uniform(0, gap) if life % 2 else 0.0
        process = _start(killed, arguments)
        _await_saves(process, killed, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=wait)
        struck = process.poll() is None
        process.send_signal(signal.SIGTERM if asked else signal.SIGKILL)
        code = process.wait()
        if code not in (0, EXIT_CODE if asked else -signal.SIGKILL):
            _refuse(code, killed)
        struck = struck and code != 0
        in_time = in_time and struck
        where = f"{wait:.2f} s after the start of save {number}" if wait else f"in save {number}"
        print(
            f"{'SIGTERM' if asked else f'SIGKILL {life + 1}'}: "
            f"{where if struck else 'too late, the run had ended'}"
        )
    _finish(_start(killed, arguments), killed)
    identical = verdict(straight, killed)
    if not in_time:
        print("NOT PROVEN: not every interruption came in time; give a lower --kills or --every")
    return identical and in_time


def _start(workdir: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "faceemo.main", *arguments, f"--workdir={workdir}"]
    with _log(workdir).open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def _log(workdir: Path) -> Path:
    return workdir.with_name(f"{workdir.name}.log")


def _finish(process: subprocess.Popen[bytes], workdir: Path) -> None:
    if code := process.wait():
        _refuse(code, workdir)


def _refuse(code: int, workdir: Path) -> None:
    said = _log(workdir).read_text(encoding="utf-8", errors="replace")
    raise UserError(
        expected="a run that ends by itself",
        found=f"exit code {code} and, at its end: {' '.join(said.split())[-500:]}",
        fix="make the same arguments work with python -m faceemo.main first",
    )


def _await_saves(
    process: subprocess.Popen[bytes], workdir: Path, number: float = math.inf
) -> list[float]:
    """When saves began, in seconds, until the process is in its `number`-th or has ended."""

    def under_way() -> set[str]:
        return {str(path) for path in workdir.glob("*/*.orbax-checkpoint-tmp*")}

    # What a killed process left behind. The next one removes it, and may save under the same name.
    former = under_way()
    seen: dict[str, float] = {}
    while len(seen) < number and process.poll() is None:
        now = under_way()
        former &= now
        for path in now - former:
            seen.setdefault(path, time.monotonic())
        time.sleep(_LOOK)
    return list(seen.values())


def verdict(straight: Path, killed: Path) -> bool:
    """Compares every leaf and every metric of the two folders; says how it ends."""
    one, two = _contents(straight), _contents(killed)
    different = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
    leaves = sum(bool(re.search("weights|training", name)) for name in one)
    if different:
        print(f"NOT IDENTICAL: {len(different)} of {len(one)}: {', '.join(different)}")
    else:
        print(
            f"IDENTICAL: {leaves} arrays of parameters, optimiser and statistics and all metrics "
            "of the interrupted run are those of the straight one, bit for bit"
        )
    return not different


def _contents(workdir: Path) -> dict[str, str]:
    """Digests of all that a run has learned, freshly read from its newest checkpoints."""
    found = {}
    for name in ("frozen", "latest", "best"):
        arrays = ["weights", "training"] if name == "latest" else ["weights"]
        stored = Series(workdir / name, 1).newest_sound(["recipe", "history"], arrays)
        if stored is None:
            raise UserError(
                expected=f"a sound checkpoint in {workdir / name}", found="none", fix="look there"
            )
        number, items = stored
        epochs = items.get("history", {"epochs": []})["epochs"]
        rows = [{k: v for k, v in row.items() if k not in _TIMING} for row in epochs]
        trees = {item: items[item] for item in arrays}
        for leaf, digest in digests(trees, {"number": number, "metrics": rows}).items():
            found[f"{name}/{leaf}"] = digest
    return found
