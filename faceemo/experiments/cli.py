"""The command line of many runs: what the scripts that train them have in common."""

import argparse
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from faceemo import errors
from faceemo.experiments import leaderboard, sweep
from faceemo.experiments.sweep import Run


def parser(description: str | None, root: Path) -> argparse.ArgumentParser:
    """Takes --seeds, --overrides and --root, whose default is given; a script adds its own."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--seeds", type=int, default=1, help="how many, from the config's seed on")
    made.add_argument("--overrides", default="", help="field=value pairs, separated by commas")
    made.add_argument("--root", type=Path, default=root)
    return made


def run(
    root: Path,
    configs: Path,
    plan: Callable[[], Sequence[Run]],
    then: Callable[[Run], str] | None = None,
) -> int:
    """Trains what is not finished, writes the leaderboard, says what failed.

    Args:
        root: folder of the sweep.
        configs: folder with a configuration file per backbone.
        plan: makes the runs; what is wrong with the arguments is said as its error.
        then: what is done with each finished run at the end, and its line about that.

    Returns:
        the exit code: 1 if a run failed, or `then` did for one.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with errors.reported():
        runs = plan()
        try:
            failed = sweep.sweep(runs, root, configs)
            lines = _each(then, runs, failed) if then else []
        except KeyboardInterrupt:
            print("\nstopped; the run under way has saved, the same command goes on")
            return 128 + signal.SIGINT
        print()
        rows = leaderboard.read(root) if any(run.finished() for run in runs) else []
        if rows:
            page = leaderboard.write(root, rows, failed)
            print(f"{leaderboard.table(rows)}\n")
            print(f"leaderboard {page}\n            {page.with_suffix('.csv')}")
        for line in lines:
            print(line)
        for name, reason in failed.items():
            print(f"failed      {name}: {reason}")
    return 1 if failed else 0


def _each(then: Callable[[Run], str], runs: Sequence[Run], failed: dict[str, str]) -> list[str]:
    """The lines about the finished runs; adds to `failed` what was refused."""
    lines = []
    for run in runs:
        if run.name in failed:
            continue
        try:
            lines.append(then(run))
        except errors.UserError as error:
            failed[run.name] = str(error)
    return lines
