"""The command line that scripts/sweep.py and scripts/train_final.py share."""

import argparse
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from faceemo import errors
from faceemo.experiments import leaderboard, sweep
from faceemo.experiments.sweep import Run


def make_parser(description: str | None, root: Path) -> argparse.ArgumentParser:
    """Makes a parser with --seeds, --overrides and --root, to which a script adds its own options.

    Args:
        description: Shown by --help.
        root: Default of --root, the folder of the sweep.
    """
    parser = errors.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="seeds per model, counted up from the configuration's (default: %(default)s)",
    )
    parser.add_argument(
        "--overrides",
        default="",
        metavar="FIELD=VALUE,...",
        help="configuration fields to set in every run",
    )
    parser.add_argument(
        "--root", type=Path, default=root, help="folder of the sweep (default: %(default)s)"
    )
    return parser


def run_sweep(
    root: Path,
    configs: Path,
    plan_runs: Callable[[], Sequence[Run]],
    on_finished: Callable[[Run], str] | None = None,
) -> int:
    """Trains all unfinished runs, writes the leaderboard and lists the failures.

    Args:
        root: Folder of the sweep.
        configs: Folder with one configuration file per backbone.
        plan_runs: Makes the runs. It is called here so that its `UserError` about wrong arguments
            is reported like every other.
        on_finished: Called at the end with each finished run; returns a line to print. A
            `UserError` of it counts as a failure of the run.

    Returns:
        The exit code: 0, 1 if a run failed, or 130 after an interruption.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with errors.reported():
        runs = plan_runs()
        try:
            failed = sweep.train_runs(runs, root, configs)
            lines = _process_finished(on_finished, runs, failed) if on_finished else []
        except KeyboardInterrupt:
            print(
                "\nThe sweep was interrupted. The current run has saved its state; give the same "
                "command again to continue."
            )
            return 128 + signal.SIGINT
        print()
        rows = leaderboard.read_rows(root) if any(run.is_finished() for run in runs) else []
        if rows:
            page = leaderboard.write(root, rows, failed)
            print(f"{leaderboard.format_table(rows)}\n")
            print(f"leaderboard {page}\n            {page.with_suffix('.csv')}")
        for line in lines:
            print(line)
        for name, reason in failed.items():
            print(f"failed      {name}: {reason}")
    return 1 if failed else 0


def _process_finished(
    on_finished: Callable[[Run], str], runs: Sequence[Run], failed: dict[str, str]
) -> list[str]:
    """Returns the lines of `on_finished`; adds its errors to `failed`."""
    lines = []
    for run in runs:
        if run.name in failed:
            continue
        try:
            lines.append(on_finished(run))
        except errors.UserError as error:
            failed[run.name] = str(error)
    return lines
