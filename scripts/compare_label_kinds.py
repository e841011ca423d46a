"""Scores a sweep against labels and against the majority of votes, on the same images.

    O=image_size=96,epochs=3,source=fer2013.csv,votes=fer2013new.csv
    faceemo sweep --root study/label --archs mobilenet --overrides $O,data_dir=data_l
    faceemo sweep --root study/majority --archs mobilenet \
        --overrides $O,targets=majority,data_dir=data_m
    python scripts/compare_label_kinds.py study/label study/majority

Prints a table with a row for each variant and two columns for each sweep: accuracy on validation
against the source's labels, and against what more than half of the annotators say. All four are of
the images that every run has validated and that have both a label and a majority among the
classes. Below it stands how the differences between variants change with the kind of label.
"""

import csv
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from faceemo.analysis.statistics import PairedCounts, wilson_interval
from faceemo.commands.parser import Parser
from faceemo.errors import UserError, reported


class Images(NamedTuple):
    """What a run predicts for the images of validation, each identified by its path in the source.

    Attributes:
        label: The source's label by image.
        majority: The class with more than half of the votes.
        predicted: The predicted class.
    """

    label: dict[str, str]
    majority: dict[str, str]
    predicted: dict[str, str]


def read_sweep(root: Path) -> dict[str, Images]:
    """Reads the finished runs of a sweep, by backbone and variant.

    Raises:
        UserError: If there are none, two of the same variant, or no votes.
    """
    runs: dict[str, Images] = {}
    for path in sorted(root.glob("*/summary.json")):
        config = json.loads(path.read_text(encoding="utf-8"))["config"]
        name = f"{config['arch']}:{config['variant']}"
        if name in runs:
            raise UserError(
                expected=f"one run of each variant in {root}",
                found=f"two of {name}",
                fix="name a sweep with one seed",
            )
        runs[name] = _read_run(path.parent / "report" / "validation" / "predictions.csv")
    if not runs:
        raise UserError(
            expected=f"finished runs in {root}",
            found="none",
            fix="name the folder of a sweep, as the help of this script shows",
        )
    return runs


def _read_run(path: Path) -> Images:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if "majority" not in rows[0]:
        raise UserError(
            expected=f"votes in {path}",
            found="labels alone",
            fix="train on images that have votes: --overrides votes=fer2013new.csv",
        )
    rows = [row for row in rows if row["majority"] in row and row["given_label"] in row]
    return Images(
        *(
            {row["source_path"]: row[column] for row in rows}
            for column in ("given_label", "majority", "predicted")
        )
    )


class Scores(NamedTuple):
    """Whether a run is right about each image: bool [N], against either kind of label."""

    label: np.ndarray
    majority: np.ndarray


def score(run: Images, images: Sequence[str]) -> Scores:
    """Compares the predictions of a run for some of its images with both kinds of label."""
    return Scores(
        *(
            np.array([run.predicted[image] == truth[image] for image in images])
            for truth in (run.label, run.majority)
        )
    )


def find_common(sweeps: Sequence[Mapping[str, Images]]) -> list[str]:
    """Returns the images that every run of every sweep has predicted, in a fixed order.

    Raises:
        UserError: If there are none.
    """
    common = sorted(
        set.intersection(*(set(run.predicted) for runs in sweeps for run in runs.values()))
    )
    if not common:
        raise UserError(
            expected="images that all runs have validated",
            found="none",
            fix="name sweeps on the same source",
        )
    return common


def format_tables(sweeps: Mapping[str, Mapping[str, Images]]) -> str:
    """Formats the accuracies, and the differences between neighbouring variants, as Markdown."""
    images = find_common([*sweeps.values()])
    some = next(iter(next(iter(sweeps.values())).values()))
    agreeing = sum(some.label[image] == some.majority[image] for image in images)
    low, high = wilson_interval(agreeing, len(images))
    lines = [
        f"{len(images):,} images; label and majority agree on {agreeing / len(images):.3f} "
        f"({low:.3f} to {high:.3f})",
        "",
        f"| variant |{''.join(f' {name}: labels | {name}: majority |' for name in sweeps)}",
        f"|---|{'---|---|' * len(sweeps)}",
    ]
    names = sorted({name for runs in sweeps.values() for name in runs}, key=_order)
    scores = {
        sweep: {name: score(run, images) for name, run in runs.items()}
        for sweep, runs in sweeps.items()
    }
    for name in names:
        cells = [
            f" {_format_accuracy(kind)} |" if kind is not None else " |"
            for runs in scores.values()
            for kind in runs.get(name, (None, None))
        ]
        lines.append(f"| {name} |{''.join(cells)}")
    for sweep, runs in scores.items():
        lines += ["", f"{sweep}: difference from the variant above, points", ""]
        lines += ["| variant | labels | majority |", "|---|---|---|"]
        present = [name for name in names if name in runs]
        for before, name in itertools.pairwise(present):
            pairs = zip(runs[before], runs[name], strict=True)
            cells = [_format_difference(first, second) for first, second in pairs]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _order(name: str) -> tuple[str, int, str]:
    arch, _, variant = name.partition(":")
    return arch, int(variant) if variant.isdigit() else 99, variant


def _format_accuracy(right: np.ndarray) -> str:
    low, high = wilson_interval(int(right.sum()), len(right))
    return f"{right.mean():.3f}, {low:.3f} to {high:.3f}"


def _format_difference(first: np.ndarray, second: np.ndarray) -> str:
    counts = PairedCounts(
        int((first & second).sum()),
        int((first & ~second).sum()),
        int((~first & second).sum()),
        int((~first & ~second).sum()),
    )
    gap, low, high = (100 * value for value in counts.difference())
    return f"{gap:+.1f}, {low:.1f} to {high:.1f}"


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    parser.add_argument(
        "sweeps", nargs="+", type=Path, metavar="FOLDER", help="folder of a sweep, by faceemo sweep"
    )
    options = parser.parse_args()
    with reported():
        print(format_tables({folder.name: read_sweep(folder) for folder in options.sweeps}))
