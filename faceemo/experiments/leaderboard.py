"""The leaderboard of a sweep: a table for the terminal, a CSV file and an HTML page."""

import csv
import dataclasses
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.analysis.statistics import SeedSummary, summarize_seeds
from faceemo.analysis.theme import template
from faceemo.errors import ESCAPE, UserError
from faceemo.experiments import leaderboard_slices, leaderboard_warnings, run_settings
from faceemo.experiments.leaderboard_warnings import Warned

NAME = "leaderboard"
_HEADINGS = (
    *("run", "seed", "accuracy", "95% interval", "macro-F1", "majority", "train"),
    *("best epoch", "training min", "trained parameters"),
)

_ABOUT_MINUTES = (
    "training min: the training steps alone, without preparation, start, validation and report"
)
_ABOUT_VOTES = (
    "by votes, by labels: accuracy against the majority of the annotators' votes, and against the "
    "labels of the source"
)
_COMMANDS_HEADING = (
    "These commands name the folders of the finished runs. To train a run again, change --workdir "
    "to a new folder; faceemo evaluate RUN writes a report again."
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A finished run. All scores are those of its best epoch.

    Attributes:
        name: Name of the run's folder.
        arch: Backbone, one of `config.ARCHS`.
        variant: Number from 0 to 11, or 'best'.
        changes: Text from `run_settings.format_changes`, such as 'image_size=48'.
        seed: Seed of initial weights, data order and augmentation.
        accuracy: Validation accuracy.
        low: Lower limit of its 95% Wilson interval.
        high: Upper limit of that interval.
        macro_f1: Validation macro-F1.
        majority: Accuracy of always predicting the most frequent class.
        train_accuracy: Running mean over the epoch, with augmentation and dropout.
        best_epoch: Number of the best epoch, from 1.
        epochs_run: Number of epochs.
        seconds: Time of the training steps, without preparation, start, validation and report.
        params_trainable: Number of trained parameters.
        warnings: Warnings of the watchdogs, by epoch.
        command: Shell command with the run's configuration and folder. With another --workdir it
            trains from the start.
        by_votes: Validation accuracy against the majority of the votes; None without votes.
        by_labels: Validation accuracy against the source's own labels; None without votes.
    """

    name: str
    arch: str
    variant: int | str
    changes: str
    seed: int
    accuracy: float
    low: float
    high: float
    macro_f1: float
    majority: float
    train_accuracy: float
    best_epoch: int
    epochs_run: int
    seconds: float
    params_trainable: int
    warnings: str
    command: str
    by_votes: float | None = None
    by_labels: float | None = None

    @property
    def model(self) -> str:
        """Backbone and variant, such as 'vgg16:7'."""
        return f"{self.arch}:{self.variant}"

    @property
    def recipe(self) -> str:
        """Text that the run shares with its other seeds."""
        return run_settings.format_recipe(self.model, self.changes)

    @property
    def label(self) -> str:
        """Name for people, such as 'vgg16:7 image_size=48,policy=strict, seed 5'."""
        return f"{f'{self.model} {self.changes}'.rstrip()}, seed {self.seed}"


@dataclasses.dataclass(frozen=True)
class SeedStatistics:
    """The validation accuracy of one recipe over several seeds.

    Attributes:
        model: Backbone and variant.
        changes: Text from `run_settings.format_changes`.
        accuracy: Mean, spread and interval of the accuracy.
    """

    model: str
    changes: str
    accuracy: SeedSummary


def read_rows(root: Path) -> list[Row]:
    """Reads the finished runs in the subfolders of `root`, the most accurate first.

    Raises:
        UserError: If there are none.
    """
    rows = [
        _read_row(path.parent, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(root.glob("*/summary.json"))
    ]
    if not rows:
        raise UserError(
            expected=f"finished runs in the subfolders of {root}",
            found="none",
            fix="run faceemo sweep, or give the folder of a sweep",
        )
    return sorted(rows, key=lambda row: (-row.accuracy, row.name))


def compute_seed_statistics(rows: Iterable[Row]) -> list[SeedStatistics]:
    """Computes mean and spread for every recipe with more than one seed, the best mean first."""
    statistics_of_recipes = []
    for by_seed in run_settings.group_by_seed(rows).values():
        if len(by_seed) > 1:
            (row, *_), *_ = by_seed.values()
            values = run_settings.mean_per_seed(by_seed, lambda row: row.accuracy)
            statistics_of_recipes.append(
                SeedStatistics(row.model, row.changes, summarize_seeds(values))
            )
    return sorted(statistics_of_recipes, key=lambda each: -each.accuracy.mean)


def find_best(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows with the highest accuracy: one, or several if they tie."""
    return [row for row in rows if row.accuracy == rows[0].accuracy]


def have_votes(rows: Iterable[Row]) -> bool:
    """Returns whether any row has an accuracy against votes."""
    return any(row.by_votes is not None for row in rows)


def extract_shared_changes(rows: Sequence[Row]) -> tuple[str, list[Row]]:
    """Separates the changes that all rows share from those that distinguish them.

    Returns:
        The shared changes, such as 'epochs=3,image_size=48', and the rows without these.
    """
    changes = [run_settings.split_changes(row.changes) for row in rows]
    common = set.intersection(*map(set, changes))
    shared = ",".join(pair for pair in changes[0] if pair in common)
    others = [",".join(pair for pair in pairs if pair not in common) for pairs in changes]
    return shared, [
        dataclasses.replace(row, changes=text) for row, text in zip(rows, others, strict=True)
    ]


def format_table(rows: Sequence[Row]) -> str:
    """Formats the rows as aligned text, then seed statistics, warnings and commands."""
    shared, rows = extract_shared_changes(rows)
    voted = have_votes(rows)
    cells = [(*_HEADINGS, *(("by votes", "by labels") if voted else ()))]
    for row in rows:
        cells.append(
            (
                " ".join(filter(None, (row.model, row.changes, "!" * bool(row.warnings)))),
                str(row.seed),
                f"{row.accuracy:.4f}",
                f"{row.low:.3f}-{row.high:.3f}",
                f"{row.macro_f1:.4f}",
                f"{row.majority:.4f}",
                f"{row.train_accuracy:.4f}",
                f"{row.best_epoch} of {row.epochs_run}",
                f"{row.seconds / 60:.1f}",
                f"{row.params_trainable:,}",
                *(map(_format_share, (row.by_votes, row.by_labels)) if voted else ()),
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f"all with {shared}", ""] if shared else []
    lines += [
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        )
        for line in cells
    ]
    lines.append(_ABOUT_MINUTES)
    if voted:
        lines.append(_ABOUT_VOTES)
    if len(best := find_best(rows)) > 1:
        lines.append(f"{len(best)} runs tie for the highest accuracy: none of them is the winner")
    lines += [
        f"{' '.join(filter(None, (each.model, each.changes)))}: mean {each.accuracy.mean:.4f}, "
        f"standard deviation {each.accuracy.deviation:.4f}; {each.accuracy.describe_interval()}"
        for each in compute_seed_statistics(rows)
    ]
    if warnings := _group_warnings(rows):
        lines += ["", *(f"! {'; '.join(each.runs)}: {each.text}" for each in warnings)]
    lines += ["", _COMMANDS_HEADING, *(row.command for row in rows)]
    return "\n".join(lines)


def write(root: Path, rows: Sequence[Row], failed: Mapping[str, str]) -> Path:
    """Writes root/leaderboard.csv and root/leaderboard.html.

    Args:
        root: Folder of the sweep.
        rows: Rows from `read_rows`.
        failed: Reason of each failed run, by name.

    Returns:
        The path of the page.
    """
    fields = [field.name for field in dataclasses.fields(Row)]
    with (
        staging.file(root / f"{NAME}.csv") as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows([dataclasses.asdict(row) for row in rows])
    shared, rows = extract_shared_changes(rows)
    page = root / f"{NAME}.html"
    comparisons, without_slices = leaderboard_slices.read_comparisons(
        root, [row.name for row in rows]
    )
    text = template.render(
        "experiments/leaderboard.html.j2",
        title=f"{len(rows)} runs",
        root=root,
        shared=shared,
        rows={
            row.name: {
                **dataclasses.asdict(row),
                "model": row.model,
                "label": row.label,
                "report": f"{row.name}/report/validation/index.html",
            }
            for row in rows
        },
        comparisons=comparisons,
        without_slices=without_slices,
        seed_statistics=compute_seed_statistics(rows),
        best=[row.name for row in find_best(rows)],
        warnings=_group_warnings(rows),
        failed=failed,
        voted=have_votes(rows),
        majorities=sorted({row.majority for row in rows}),
    )
    with staging.file(page) as partial:
        partial.write_text(text, encoding="utf-8", errors=ESCAPE)
    return page


def _read_row(workdir: Path, summary: Mapping[str, Any]) -> Row:
    config = summary["config"]
    low, high = summary["val_accuracy_interval"]
    return Row(
        name=workdir.name,
        arch=summary["arch"],
        variant=summary["variant"],
        changes=run_settings.format_changes(config),
        seed=summary["seed"],
        accuracy=summary["val_accuracy"],
        low=low,
        high=high,
        macro_f1=summary["val_macro_f1"],
        majority=summary["majority_baseline"],
        train_accuracy=summary["train_accuracy"],
        best_epoch=summary["best_epoch"],
        epochs_run=summary["epochs_run"],
        seconds=summary["seconds"],
        params_trainable=summary["params_trainable"],
        warnings=leaderboard_warnings.join(summary.get("warnings", {})),
        command=_format_command(workdir, config),
        by_votes=summary.get("val_accuracy_majority"),
        by_labels=summary.get("val_accuracy_label"),
    )


def _format_share(share: float | None) -> str:
    return "-" if share is None else f"{share:.4f}"


def _group_warnings(rows: Sequence[Row]) -> list[Warned]:
    return leaderboard_warnings.group([row.label for row in rows], [row.warnings for row in rows])


def _format_command(workdir: Path, config: Mapping[str, Any]) -> str:
    fields = run_settings.changed_fields(config)
    # A comma would end a field in the configuration's name, so these get options of their own.
    with_comma = {field: value for field, value in fields.items() if "," in str(value)}
    pairs = [f"{field}={value}" for field, value in fields.items() if field not in with_comma]
    return shlex.join(
        [
            *("faceemo", "train"),
            ",".join([f"{config['arch']}:{config['variant']}", *pairs]),
            *(f"--{field.replace('_', '-')}={value}" for field, value in with_comma.items()),
            *("--workdir", str(workdir)),
        ]
    )
