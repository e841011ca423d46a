"""The commands `faceemo sweep` and `compare`, and what scripts/train_final.py shares with them."""

import argparse
import itertools
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faceemo import errors
from faceemo.commands import modes
from faceemo.commands.parser import FAILURE_CODES, Command, positive_int
from faceemo.config import ARCHS, SPLITS, STUDY, VARIANTS, shipped

if TYPE_CHECKING:
    from faceemo.experiments.sweep import Run

_SWEEP = """Trains many variants one after the other and ranks them by validation accuracy.

    faceemo sweep --archs vgg16 --variants 0-3 7 --overrides image_size=48
    faceemo sweep --archs mobilenet --variants best --seeds 3 --root checkpoints/seeds

Each run has its own process. The same command skips finished runs, resumes interrupted ones and
tries failed ones again. Finished runs keep only their best weights. The leaderboard is printed, and
written as a page and a CSV into the folder of the sweep.
"""
_COMPARE = """Tests whether runs differ significantly in accuracy on the same images.

    faceemo compare checkpoints/vgg16-7 checkpoints/resnet50v2-8
    faceemo compare RUN OTHER --split test
    faceemo compare checkpoints/my_faces builtin
    faceemo compare a/predictions.csv b/predictions.csv

Reads the report's predictions.csv of each run; builtin, or a stored model.npz, predicts the images
of the first run, which must have its classes. Each pair of runs is compared by McNemar's test (the
exact one if fewer than 25 images are right in one run only, otherwise chi-squared with continuity
correction), with Agresti and Min's interval for the difference. For runs that differ only in the
seed, mean and spread are shown too. Runs on different images or with different labels are refused.
"""


def parse_variants(texts: Sequence[str]) -> list[int | str]:
    """Parses ['0-3', '7', 'best'] to [0, 1, 2, 3, 7, 'best'].

    Raises:
        UserError: If a text is none of a number, a range and 'best'.
    """
    variants: list[int | str] = []
    for text in texts:
        if text == "best":
            variants.append(text)
            continue
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= len(VARIANTS):
            raise errors.UserError(
                expected=f"--variants from 0 to {len(VARIANTS) - 1}, such as 0-3 (the smaller "
                "number first) or 7, or best",
                found=f"'{text}'",
                fix="give such numbers, ranges or best, separated by spaces",
            )
        variants.extend(range(first, last + 1))
    return variants


def add_sweep_options(parser: argparse.ArgumentParser, root: Path) -> None:
    """Adds --seeds, --overrides and --root.

    Args:
        parser: Parser of a command that trains several runs.
        root: Default of --root, the folder of the sweep.
    """
    parser.add_argument(
        "--seeds",
        type=positive_int,
        metavar="N",
        default=1,
        help="seeds per model, counted up from the configuration's",
    )
    parser.add_argument(
        "--overrides",
        default="",
        metavar="FIELD=VALUE,...",
        help="configuration fields to set in every run",
    )
    parser.add_argument(
        "--root", type=Path, metavar="FOLDER", default=root, help="folder of the sweep"
    )


def run_sweep(
    root: Path,
    plan_runs: "Callable[[], Sequence[Run]]",
    on_finished: "Callable[[Run], str] | None" = None,
) -> int:
    """Trains all unfinished runs, writes the leaderboard and lists the failures.

    Args:
        root: Folder of the sweep.
        plan_runs: Makes the runs. It is called here so that its `UserError` about wrong arguments
            is reported like every other.
        on_finished: Called at the end with each finished run; returns a line to print. A
            `UserError` of it counts as a failure of the run.

    Returns:
        The exit code: 0, 1 if a run failed, or 130 after an interruption.
    """
    from faceemo.experiments import leaderboard, sweep

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with errors.reported():
        runs = plan_runs()
        try:
            failed = sweep.train_runs(runs, root, shipped.folder())
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
    on_finished: "Callable[[Run], str]", runs: "Sequence[Run]", failed: dict[str, str]
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


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--archs",
        nargs="+",
        default=list(STUDY),
        choices=ARCHS,
        metavar="BACKBONE",
        help=f"backbones: {', '.join(ARCHS)}",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        default=[f"0-{len(VARIANTS) - 1}"],
        metavar="VARIANT",
        help="numbers, ranges, 'best'",
    )
    add_sweep_options(parser, Path("checkpoints/sweep"))


def _sweep(options: argparse.Namespace) -> int:
    def plan_runs() -> "list[Run]":
        from faceemo.experiments import sweep

        models = itertools.product(options.archs, parse_variants(options.variants))
        return sweep.plan_runs(options.root, models, options.seeds, options.overrides)

    return run_sweep(options.root, plan_runs)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "first",
        type=Path,
        metavar="RUN",
        help="a run's folder, a predictions.csv, a stored model.npz, or 'builtin'",
    )
    parser.add_argument(
        "others", type=Path, nargs="+", metavar="OTHER", help="a run to compare with it, or several"
    )
    parser.add_argument(
        "--split", choices=SPLITS[1:], default="validation", help="split whose report is read"
    )


def _compare(options: argparse.Namespace) -> int:
    from faceemo.experiments import compare

    places = (options.first, *options.others)
    if len({path.resolve() for path in places}) < len(places):
        raise errors.UserError(
            expected="different runs to compare",
            found="the same one twice",
            fix="name each run once",
        )
    modes.quieten_tensorflow()
    runs = compare.read_runs(places, options.split)
    compare.refuse_different_images(runs)
    print(compare.format_comparison(runs))
    return 0


COMMANDS = (
    Command(
        "sweep",
        "train many variants and rank them by validation accuracy",
        _SWEEP,
        _add_sweep,
        _sweep,
        f"0 if all runs are finished; 1 if one failed; {FAILURE_CODES}; 130 after Ctrl-C, once the "
        "current run has saved its state",
    ),
    Command(
        "compare",
        "test whether runs differ in accuracy on the same images",
        _COMPARE,
        _add_compare,
        _compare,
    ),
)
