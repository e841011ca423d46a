"""The proof that a killed run resumes exactly: two runs of one configuration, compared."""

import contextlib
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from faceemo.errors import UserError
from faceemo.train.digest import digests
from faceemo.train.interrupt import EXIT_CODE
from faceemo.train.storage import Series

# Between two looks for a save under way, seconds: a save takes some hundredths at least.
_LOOK = 0.001
_TIMING = ("seconds", "images_per_second")


def verify(folder: Path, arguments: Sequence[str], kills: int, seed: int) -> bool:
    """Trains twice, once with interruptions; prints what it does and the verdict.

    Args:
        folder: for the two runs, 'straight' and 'killed'.
        arguments: of `python -m faceemo.main`, without --workdir.
        kills: how often SIGKILL strikes; SIGTERM does once.
        seed: of the points in time.

    Returns:
        whether all checkpoints and metrics are bit-identical.

    Raises:
        UserError: if the folder is in use, or a run fails by itself.
    """
    straight, killed = folder / "straight", folder / "killed"
    if straight.exists() or killed.exists():
        raise UserError(
            expected=f"a folder for two new runs at {folder}", found="older ones", fix="remove them"
        )
    began = time.monotonic()
    _finish(_start(straight, arguments))
    whole = time.monotonic() - began
    print(f"straight through: {whole:.0f} s")
    draw = random.Random(seed)
    for kill in range(kills):
        process = _start(killed, arguments)
        inside = bool(kill % 2)
        delay = draw.uniform(0.2, 0.9) * whole
        if inside:
            _await_save(process, killed, draw.randint(1, 3))
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=delay)
        ended = process.poll() is not None
        process.kill()
        process.communicate()
        where = "inside a save" if inside else f"after {delay:.1f} s"
        print(f"kill {kill + 1}: {'too late, the run had ended' if ended else where}")
        if ended:
            break
    process = _start(killed, arguments)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=whole / 2)
    process.send_signal(signal.SIGTERM)
    output = process.communicate()
    if process.returncode not in (0, EXIT_CODE, -signal.SIGTERM):
        _refuse(process.returncode, output)
    ends = {0: "the run had ended", EXIT_CODE: "saved, as its exit code says"}
    print(f"SIGTERM: {ends.get(process.returncode, 'before training began')}")
    _finish(_start(killed, arguments))
    return verdict(straight, killed)


def _start(workdir: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "faceemo.main", *arguments, f"--workdir={workdir}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(process: subprocess.Popen[str]) -> None:
    output = process.communicate()
    if process.returncode:
        _refuse(process.returncode, output)


def _refuse(code: int, output: tuple[str, str]) -> None:
    raise UserError(
        expected="a run that ends by itself",
        found=f"exit code {code} and, at its end: {' '.join(output[0].split())[-500:]}",
        fix="make the same arguments work with python -m faceemo.main first",
    )


def _await_save(process: subprocess.Popen[str], workdir: Path, number: int) -> None:
    """Until the process is in the midst of its `number`-th save, or has ended."""
    seen = set()
    while len(seen) < number and process.poll() is None:
        seen.update(path.name for path in workdir.glob("*/*.orbax-checkpoint-tmp*"))
        time.sleep(_LOOK)


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
