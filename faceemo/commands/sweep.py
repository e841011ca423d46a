"""The commands `faceemo sweep` and `compare`, and what scripts/train_final.py shares with them."""

import argparse
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceemo import errors
from faceemo.commands import modes
from faceemo.commands.parser import FAILURE_CODES, Command, positive_int
from faceemo.config import (
    ARCHS,
    SPLITS,
    STUDY,
    VARIANTS,
    argument,
    field_words,
    make_config,
    shipped,
)
from faceemo.train.checkpoint import run_folders

if TYPE_CHECKING:
    from faceemo.experiments.sweep_run import Run

_ROOT = "checkpoints/sweep"
_SWEEP = """Trains many variants one after the other and ranks them by validation accuracy.

    faceemo sweep --archs vgg16 --variants 0-3 7 --overrides image_size=48
    faceemo sweep --archs mobilenet --variants best --seeds 3 --root checkpoints/seeds
    faceemo sweep --source my_faces --archs mobilenet --variants 0 3 best
    faceemo sweep --overrides source=faces.zip,data_dir=mine,classes=calm+angry --variants 7

With --source, faceemo chooses classes, sizes and splits as `faceemo train my_faces` does, and
prints these choices; MobileNet starts from the network that comes with faceemo. All runs score the
validation images of that command, so that `faceemo compare` can compare them with its run. A field
in --overrides replaces a choice. `faceemo train --help` describes the fields.

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
On validation, where a run chose its best epoch, a run is favoured over a stored network; a line
says so.
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


def add_sweep_options(
    parser: argparse.ArgumentParser, root: Path | None, about_root: str = "folder of the sweep"
) -> None:
    """Adds --seeds, --overrides and --root.

    Args:
        parser: Parser of a command that trains several runs.
        root: Default of --root, the folder of the sweep.
        about_root: Help of --root.
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
        help="configuration fields to set in every run, such as image_size=48,epochs=3",
    )
    parser.add_argument("--root", type=Path, metavar="FOLDER", default=root, help=about_root)


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
    with field_words.spelled(field_words.as_override), errors.reported():
        runs = plan_runs()
        try:
            failed = sweep.train_runs(runs, root, shipped.folder())
            lines = _process_finished(on_finished, runs, failed) if on_finished else []
        except KeyboardInterrupt as interruption:
            print(f"\n{_describe_interruption(interruption)}")
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


def _describe_interruption(interruption: KeyboardInterrupt) -> str:
    from faceemo.experiments import sweep

    if not isinstance(interruption, sweep.Interrupted):
        return "The sweep was interrupted. Give the same command again to continue."
    run = interruption.run
    if run_folders.is_run(run.workdir):
        return (
            f"The sweep was interrupted. The state of {run.name} is saved in {run.workdir}; give "
            "the same command again to continue."
        )
    return (
        f"The sweep was interrupted before {run.name} had saved anything. Give the same command "
        "again to start this run anew."
    )


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
    parser.add_argument(
        "--source",
        type=Path,
        metavar="PATH",
        help="images of your own: a folder with a folder of images per class, a zip or a csv",
    )
    add_sweep_options(
        parser, None, f"folder of the sweep (default: {_ROOT}, or {_ROOT}-NAME of --source)"
    )


def _sweep(options: argparse.Namespace) -> int:
    with field_words.spelled(field_words.as_override):
        variants = parse_variants(options.variants)
        models = [(arch, variant) for arch in options.archs for variant in variants]
        name, fields = _choose_fields(options.source, options.overrides, models)
    root = options.root or Path(f"{_ROOT}-{name}" if name else _ROOT)

    def plan_runs() -> "list[Run]":
        from faceemo.experiments import sweep

        return sweep.plan_runs(root, models, options.seeds, options.overrides, fields)

    return run_sweep(root, plan_runs)


def _choose_fields(
    source: Path | None, overrides: str, models: Sequence[tuple[str, int | str]]
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Chooses fields for images of the user's own, and prints the choices.

    Args:
        source: The images; None if the user named none.
        overrides: The text of --overrides.
        models: Backbones and variants.

    Returns:
        A name for the folder of the sweep, '' without a source, and fields by backbone.
    """
    if source is None:
        return "", {}
    from faceemo.assets import builtin
    from faceemo.commands import own_images

    arch, variant = models[0]
    config = make_config(arch, ",".join(filter(None, (str(variant), overrides))))
    given = {field: config[field] for field in argument.parse(overrides)[1]}
    chosen = own_images.choose_for_sweep(source, given)
    print(*chosen.describe_choices(), sep="\n")
    about_images = {
        name: chosen.config[name]
        for choice in chosen.choices
        for name in choice.fields
        if name not in given
    }
    fields = dict.fromkeys((arch for arch, _ in models), about_images)
    if own_images.ARCH in fields and "weights" not in given:
        weights = {"weights": builtin.NAME}
        fields[own_images.ARCH] = about_images | weights
        print(
            f"network   weights={builtin.NAME}: for MobileNet, the network that comes with faceemo"
        )
    return chosen.name, fields


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
    modes.quieten_xla()
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
        "current run has saved its state if it trains",
    ),
    Command(
        "compare",
        "test whether runs differ in accuracy on the same images",
        _COMPARE,
        _add_compare,
        _compare,
    ),
)
