"""Runs on the same images: which differences are more than chance, and how far seeds differ."""

import collections
import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from faceemo.analysis import predictions_csv
from faceemo.analysis.predictions_csv import Score
from faceemo.analysis.statistics import Paired, over_seeds
from faceemo.errors import UserError
from faceemo.experiments import run_settings

Answers = Mapping[str, tuple[str, str]]  # path -> (label, answer)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run's answers.

    Attributes:
        name: as the user gave it.
        answers: on one split.
        score: of them.
        recipe: of `run_settings.recipe`; None where it is not known.
        seed: None where it is not known.
    """

    name: str
    answers: Answers
    score: Score
    recipe: str | None
    seed: int | None


def read(place: Path, split: str) -> Run:
    """A run from its folder, or from a predictions.csv.

    Args:
        place: either.
        split: which report of the folder.

    Raises:
        UserError: if there are no such predictions.
    """
    file = place / "report" / split / "predictions.csv" if place.is_dir() else place
    found = predictions_csv.read(file)
    summary = place / "summary.json"
    recipe = seed = None
    if place.is_dir() and summary.is_file():
        config = json.loads(summary.read_text(encoding="utf-8"))["config"]
        seed = config["seed"]
        recipe = run_settings.recipe(
            f"{config['arch']}:{config['variant']}", run_settings.changes(config)
        )
    return Run(str(place), found, predictions_csv.score(list(found.values())), recipe, seed)


def refuse_other_images(runs: Sequence[Run]) -> None:
    """Raises UserError unless all runs answered on the same images with the same labels."""
    first = runs[0]
    for other in runs[1:]:
        missing = first.answers.keys() - other.answers.keys()
        extra = other.answers.keys() - first.answers.keys()
        if missing or extra:
            raise UserError(
                expected="runs that answered on the same images",
                found=f"{len(missing):,} images only in {first.name}, {len(extra):,} only in "
                f"{other.name}, such as {min(missing | extra)!r}",
                fix="evaluate both on the same split of the same prepared data "
                "(--mode=evaluate --split=...)",
            )
        relabelled = [
            path for path, (label, _) in first.answers.items() if other.answers[path][0] != label
        ]
        if relabelled:
            raise UserError(
                expected="the same label for every image in both runs",
                found=f"{len(relabelled):,} that differ between {first.name} and {other.name}, "
                f"such as {min(relabelled)!r}",
                fix="evaluate both with the same labels",
            )


def paired(first: Answers, second: Answers) -> Paired:
    """Who of two is right where, on the same images."""
    counts = collections.Counter(
        (first[path][1] == label, second[path][1] == label) for path, (label, _) in first.items()
    )
    return Paired(
        both=counts[True, True],
        first=counts[True, False],
        second=counts[False, True],
        neither=counts[False, False],
    )


def text(runs: Sequence[Run]) -> str:
    """The comparison as aligned lines: each run, each pair, and the seeds of each recipe.

    Args:
        runs: two or more, on the same images.
    """
    score = runs[0].score
    width = max(len(run.name) for run in runs)
    lines = [
        f"{score.images:,} images; always answering '{score.majority}' gives {score.baseline:.3f}",
        "",
        f"{'run':<{width}}{'accuracy':>10}   {'95% interval':<16}{'macro-F1':>9}",
    ]
    for run in runs:
        low, high = run.score.interval
        lines.append(
            f"{run.name:<{width}}{run.score.accuracy:>10.3f}   "
            f"{f'{low:.3f} to {high:.3f}':<16}{run.score.macro_f1:>9.3f}"
        )
    pairs = list(itertools.combinations(runs, 2))
    for first, second in pairs:
        lines += ["", *_pair(first, second)]
    if len(pairs) > 1:
        lines += ["", f"{len(pairs)} pairs were tested: no p value is corrected for that"]
    return "\n".join(lines + _seeds(runs))


def _pair(first: Run, second: Run) -> list[str]:
    counts = paired(first.answers, second.answers)
    gap, low, high = counts.difference()
    p, method = counts.mcnemar()
    return [
        f"{second.name} less {first.name}",
        f"  accuracy      {100 * gap:+.1f} points, 95% interval {100 * low:+.1f} to "
        f"{100 * high:+.1f}",
        f"  right         both {counts.both:,}, only the former {counts.second:,}, only the "
        f"latter {counts.first:,}, neither {counts.neither:,}",
        f"  McNemar       p = {p:.2g} ({method})",
    ]


def _seeds(runs: Sequence[Run]) -> list[str]:
    """Mean and spread of the runs that differ in nothing but the seed."""
    lines = []
    for by_seed in run_settings.seeds(runs).values():
        if len(by_seed) < 2:
            continue
        (first, *_), *_ = by_seed.values()
        lines += ["", f"{len(by_seed)} seeds of {first.name} ({', '.join(map(str, by_seed))})"]
        for name, values in (
            ("accuracy", run_settings.per_seed(by_seed, lambda run: run.score.accuracy)),
            ("macro-F1", run_settings.per_seed(by_seed, lambda run: run.score.macro_f1)),
        ):
            mean, deviation, (low, high) = over_seeds(values)
            lines.append(
                f"  {name:<14}mean {mean:.3f}, standard deviation {deviation:.3f}, "
                f"from {min(values):.3f} to {max(values):.3f}; 95% interval of the mean "
                f"{low:.3f} to {high:.3f}"
            )
    return lines
