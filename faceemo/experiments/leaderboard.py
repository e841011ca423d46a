"""The runs of a sweep side by side: a table for the terminal, a CSV, a page."""

import csv
import dataclasses
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.analysis import statistics
from faceemo.analysis.theme import template
from faceemo.errors import UserError
from faceemo.experiments import leaderboard_slices, run_settings

NAME = "leaderboard"
_HEADINGS = (
    *("run", "seed", "accuracy", "95% interval", "macro-F1", "majority", "train"),
    *("epochs", "minutes", "trained parameters"),
)

_COMMANDS = "the rows' commands, to report anew; with another --workdir, to train from the start:"


@dataclasses.dataclass(frozen=True)
class Row:
    """What a run came to; all scores are of its best epoch.

    Attributes:
        name: of its folder.
        arch: of `config.ARCHS`.
        variant: 0 to 11, or 'best'.
        changes: fields that shape training and differ from the variant's, without the seed:
            'image_size=48'.
        seed: of initial weights, data order and augmentation.
        accuracy: on validation.
        low: lower end of the accuracy's 95% Wilson interval.
        high: upper end.
        macro_f1: on validation.
        majority: accuracy of always answering the most frequent class.
        train_accuracy: running, with augmentation and dropout.
        best_epoch: from 1.
        epochs_run: how many.
        seconds: of training and validation.
        params_trainable: number of trained parameters.
        warnings: of the watchdogs, by epoch.
        command: for a shell in the checkout, what reports on it anew; with another --workdir, what
            trains it from the start.
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

    @property
    def model(self) -> str:
        """Backbone and variant, as the command names them."""
        return f"{self.arch}:{self.variant}"

    @property
    def recipe(self) -> str:
        """What it has in common with its other seeds."""
        return run_settings.recipe(self.model, self.changes)

    @property
    def label(self) -> str:
        """What tells it from others: 'vgg16:7 image_size=48,policy=strict, seed 5'."""
        return f"{f'{self.model} {self.changes}'.rstrip()}, seed {self.seed}"


@dataclasses.dataclass(frozen=True)
class Spread:
    """The accuracies of one model over several seeds."""

    model: str
    changes: str
    seeds: int
    mean: float
    deviation: float  # of a sample
    low: float  # lower end of the mean's 95% interval, Student's
    high: float


def read(root: Path) -> list[Row]:
    """The finished runs in the folders of `root`, the most accurate first.

    Raises:
        UserError: if there are none.
    """
    rows = [
        _row(path.parent, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(root.glob("*/summary.json"))
    ]
    if not rows:
        raise UserError(
            expected=f"finished runs in the folders of {root}",
            found="none",
            fix="run scripts/sweep.py, or name its folder",
        )
    return sorted(rows, key=lambda row: (-row.accuracy, row.name))


def spreads(rows: Iterable[Row]) -> list[Spread]:
    """Mean and deviation of every model that was trained from more than one seed."""
    found = []
    for by_seed in run_settings.seeds(rows).values():
        if len(by_seed) > 1:
            (row, *_), *_ = by_seed.values()
            values = run_settings.per_seed(by_seed, lambda row: row.accuracy)
            mean, deviation, (low, high) = statistics.over_seeds(values)
            found.append(Spread(row.model, row.changes, len(values), mean, deviation, low, high))
    return sorted(found, key=lambda spread: -spread.mean)


def told_once(rows: Sequence[Row]) -> tuple[str, list[Row]]:
    """What all rows change, 'epochs=3,image_size=48', and the rows without it in `changes`."""
    changes = [run_settings.split(row.changes) for row in rows]
    common = set.intersection(*map(set, changes))
    shared = ",".join(text for text in changes[0] if text in common)
    apart = [",".join(text for text in texts if text not in common) for texts in changes]
    return shared, [
        dataclasses.replace(row, changes=text) for row, text in zip(rows, apart, strict=True)
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text, after what they have in common; below it warnings and commands."""
    shared, rows = told_once(rows)
    cells = [_HEADINGS]
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
                f"{row.best_epoch}/{row.epochs_run}",
                f"{row.seconds / 60:.1f}",
                f"{row.params_trainable:,}",
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
    lines += [
        f"{spread.model}: {spread.mean:.4f} on average of {spread.seeds} seeds (95% interval "
        f"{spread.low:.3f} to {spread.high:.3f}, standard deviation {spread.deviation:.4f})"
        for spread in spreads(rows)
    ]
    if warned := [row for row in rows if row.warnings]:
        lines += ["", *(f"! {row.label}: {row.warnings}" for row in warned)]
    lines += ["", _COMMANDS, *(row.command for row in rows)]
    return "\n".join(lines)


def write(root: Path, rows: Sequence[Row], failed: Mapping[str, str]) -> Path:
    """Writes root/leaderboard.csv and root/leaderboard.html; returns the page.

    Args:
        root: folder of the sweep.
        rows: of `read`.
        failed: why a run failed, by name.
    """
    fields = [field.name for field in dataclasses.fields(Row)]
    with (
        staging.file(root / f"{NAME}.csv") as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        lines = csv.DictWriter(file, fields)
        lines.writeheader()
        lines.writerows([dataclasses.asdict(row) for row in rows])
    shared, rows = told_once(rows)
    page = root / f"{NAME}.html"
    comparisons, without_slices = leaderboard_slices.read(root, [row.name for row in rows])
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
        spreads=spreads(rows),
        failed=failed,
        majorities=sorted({row.majority for row in rows}),
    )
    with staging.file(page) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return page


def _row(workdir: Path, summary: Mapping[str, Any]) -> Row:
    config = summary["config"]
    low, high = summary["val_accuracy_interval"]
    return Row(
        name=workdir.name,
        arch=summary["arch"],
        variant=summary["variant"],
        changes=run_settings.changes(config),
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
        warnings="; ".join(f"{when}: {what}" for when, what in summary.get("warnings", {}).items()),
        command=_command(workdir, config),
    )


def _command(workdir: Path, config: Mapping[str, Any]) -> str:
    fields = run_settings.changed(config)
    # a comma ends a field of the configuration's argument
    apart = {field: value for field, value in fields.items() if "," in str(value)}
    pairs = [f"{field}={value}" for field, value in fields.items() if field not in apart]
    return shlex.join(
        [
            *("python", "-m", "faceemo.main", "--config"),
            ",".join([f"configs/{config['arch']}.py:{config['variant']}", *pairs]),
            *(f"--config.{field}={value}" for field, value in apart.items()),
            *("--workdir", str(workdir)),
        ]
    )
