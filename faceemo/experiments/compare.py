"""The comparison of runs on the same images: paired tests, and the spread over seeds."""

import collections
import contextlib
import dataclasses
import itertools
import json
import shlex
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo.analysis import predictions_csv
from faceemo.analysis.predictions_csv import Score
from faceemo.analysis.statistics import PairedCounts, summarize_seeds
from faceemo.assets import builtin
from faceemo.config import complete
from faceemo.config.field_words import as_option, spell
from faceemo.data.ledger.rules import Rules
from faceemo.data.source.layout import is_image
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError, escape_name, suggest_path
from faceemo.experiments import run_settings
from faceemo.train.checkpoint import model_file, run_folders

_FORMS = f"a run's folder, a predictions.csv, a stored network or '{builtin.NAME}'"

_CHOOSING_SPLIT = "validation"  # on which a run chooses its best epoch

LabelledPredictions = Mapping[str, tuple[str, str]]  # path -> (label, predicted class)


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """The predictions of one run on one split.

    Attributes:
        name: The path that the user gave.
        predictions: Label and predicted class of each image.
        score: Accuracy, macro-F1 and majority baseline of the predictions.
        recipe: Text from `run_settings.format_recipe`, or None if unknown.
        seed: Seed of the run, or None if unknown.
        config: The run's configuration with all fields of this version, or None if unknown.
        names: Path in the user's source of each image, by its path in `predictions`.
        chosen: Whether the best epoch was chosen on these predictions; None if unknown.
    """

    name: str
    predictions: LabelledPredictions
    score: Score
    recipe: str | None
    seed: int | None
    config: Mapping[str, Any] | None = None
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    chosen: bool | None = None


def read_runs(places: Sequence[Path], split: str) -> list[ComparedRun]:
    """Reads the predictions of runs, and makes those of stored networks on the images of a run.

    Args:
        places: Runs as for `read_run`, `builtin`, and stored networks (model.npz). A stored network
            predicts the images of the first run.
        split: The split, 'validation' or 'test'.

    Raises:
        UserError: If there are no such predictions, or no run among stored networks.
    """
    # first, so that a mistake need not wait for predictions
    runs = {path: read_run(path, split) for path in places if not model_file.names_stored(path)}
    folders = [path for path in runs if path.is_dir()]
    return [runs.get(path) or _predict(path, folders, split) for path in places]


def _predict(network: Path, runs: Sequence[Path], split: str) -> ComparedRun:
    """Predicts the images of the first of some runs with a stored network."""
    if not runs:
        raise UserError(
            expected=f"a run among what is compared, on whose images {network} predicts",
            found="none",
            fix=f"add the folder of a run (faceemo compare RUN {network})",
        )
    from faceemo.experiments import stored  # which imports JAX

    with contextlib.redirect_stdout(sys.stderr):
        made, chosen = stored.predict_images_of(network, runs[0], split)
    names = made.classes
    predictions = {
        escape_name(path): (names[label], names[predicted])
        for path, label, predicted in zip(made.paths, made.labels, made.predicted, strict=True)
    }
    score = predictions_csv.score(list(predictions.values()))
    return ComparedRun(str(network), predictions, score, None, None, chosen=chosen)


def read_run(path: Path, split: str) -> ComparedRun:
    """Reads the predictions of a run.

    Args:
        path: The run's folder, or a predictions.csv; recipe and seed are unknown for the latter.
        split: Split whose report is read from a run's folder.

    Raises:
        UserError: If there are no such predictions.
    """
    if not path.exists():
        raise UserError(
            expected=_FORMS,
            found=f"'{path}', which does not exist{suggest_path(path, builtin.FOLDERS)}",
            fix=f"correct the path, or {run_folders.advise()}",
        )
    run_folders.refuse_folder_of_runs(path)
    csv_path = path
    if path.is_dir():
        csv_path = path / "report" / split / "predictions.csv"
        if not csv_path.is_file():
            raise _missing_report(path, split)
    predictions = predictions_csv.read(csv_path)
    summary = path / "summary.json"
    recipe = seed = known = None
    if path.is_dir() and summary.is_file():
        config = json.loads(summary.read_text(encoding="utf-8"))["config"]
        seed, known = config["seed"], complete(config)
        recipe = run_settings.format_recipe(
            f"{config['arch']}:{config['variant']}", run_settings.format_changes(config)
        )
    score = predictions_csv.score(list(predictions.values()))
    names = predictions_csv.read_names(csv_path)
    # a folder without a run's record has the report of a stored network
    chosen = recipe is not None and split == _CHOOSING_SPLIT if path.is_dir() else None
    return ComparedRun(str(path), predictions, score, recipe, seed, known, names, chosen)


def _missing_report(path: Path, split: str) -> UserError:
    """Makes the error for a folder without a report: that of a run, of images, or another."""
    if run_folders.is_run(path) or (path / "summary.json").is_file():
        return UserError(
            expected=f"a report on {split} in the run {path}",
            found="none",
            fix=f"write it first (faceemo evaluate {path} --split {split})",
        )
    return UserError(
        expected=_FORMS,
        found=f"'{path}', a folder that is none of these"
        + (", but holds images" if any(map(is_image, map(str, path.rglob("*")))) else ""),
        fix=run_folders.advise(),
    )


def refuse_different_images(runs: Sequence[ComparedRun]) -> None:
    """Raises UserError unless all runs predicted the same images with the same labels."""
    first = runs[0]
    for other in runs[1:]:
        missing = first.predictions.keys() - other.predictions.keys()
        extra = other.predictions.keys() - first.predictions.keys()
        if missing or extra:
            found = (
                f"{len(missing):,} images only in {first.name}, {len(extra):,} only in "
                f"{other.name}, such as {_name(min(missing | extra), first, other)!r}"
            )
            fix = (
                "evaluate both on the same split of the same prepared data (faceemo evaluate RUN "
                "--split SPLIT)"
            )
            if fields := _find_other_images(first, other):
                shown = ", ".join(f"{name} ({one!r} and {two!r})" for name, one, two in fields)
                found += f"; their configurations differ in {shown}"
                given = shlex.join(
                    word for name, one, _ in fields for word in as_option(name, str(one))
                )
                fix = (
                    f"train one with the values of the other, in a new folder: for those of "
                    f"{first.name} add {given} to the command that trained {other.name}"
                )
            raise UserError(
                expected="runs with predictions for the same images", found=found, fix=fix
            )
        relabelled = [
            path
            for path, (label, _) in first.predictions.items()
            if other.predictions[path][0] != label
        ]
        if relabelled:
            raise UserError(
                expected="the same label for every image in both runs",
                found=f"{len(relabelled):,} images whose labels differ between {first.name} and "
                f"{other.name}, such as {_name(min(relabelled), first, other)!r}",
                fix="evaluate both with the same labels",
            )


def _find_other_images(first: ComparedRun, other: ComparedRun) -> list[tuple[str, Any, Any]]:
    """Returns the fields that decide which images a run scores, with both values if they differ."""
    if first.config is None or other.config is None:
        return []
    kinds = (Selection, Rules)
    names = ["dataset", *(field.name for kind in kinds for field in dataclasses.fields(kind))]
    if not first.config["source"] and not other.config["source"]:
        names.append("data_dir")  # which then is where the images are
    return [
        (name, first.config[name], other.config[name])
        for name in names
        if first.config[name] != other.config[name]
    ]


def _name(path: str, *runs: ComparedRun) -> str:
    """Returns an image's path in the user's source, as the first run that knows it has it."""
    return next((run.names[path] for run in runs if path in run.names), path)


def count_pairs(first: LabelledPredictions, second: LabelledPredictions) -> PairedCounts:
    """Counts the images that both, one or neither of two runs classify correctly."""
    counts = collections.Counter(
        (first[path][1] == label, second[path][1] == label) for path, (label, _) in first.items()
    )
    return PairedCounts(
        both=counts[True, True],
        first=counts[True, False],
        second=counts[False, True],
        neither=counts[False, False],
    )


def format_comparison(runs: Sequence[ComparedRun]) -> str:
    """Formats the scores of each run, the test of each pair, and the spread over seeds.

    The table of scores gives each run a letter, which stands for it in the lines below.

    Args:
        runs: Two or more runs on the same images.
    """
    score = runs[0].score
    letters = [_make_letter(number) for number in range(len(runs))]
    width = max(4, len(letters[-1]) + 1)
    lines = [
        f"{score.images:,} images; always predicting '{score.majority}' gives {score.baseline:.3f}",
        "",
        f"{'':<{width}}{'accuracy':>10}   {'95% interval':<16}{'macro-F1':>9}   run",
    ]
    for letter, run in zip(letters, runs, strict=True):
        low, high = run.score.interval
        lines.append(
            f"{letter:<{width}}{run.score.accuracy:>10.3f}   "
            f"{f'{low:.3f} to {high:.3f}':<16}{run.score.macro_f1:>9.3f}   {run.name}"
        )
    pairs = list(itertools.combinations(zip(letters, runs, strict=True), 2))
    for (one, first), (other, second) in pairs:
        lines += ["", *_format_pair(one, first, other, second)]
    if len(pairs) > 1:
        lines += ["", f"{len(pairs)} pairs were tested; the p values are not corrected for that"]
    return "\n".join(lines + _warn_of_choice(letters, runs) + _format_seeds(letters, runs))


def _warn_of_choice(letters: Sequence[str], runs: Sequence[ComparedRun]) -> list[str]:
    """Says which runs the images favour, since their best epochs were chosen on these."""
    chosen, others = (
        [letter for letter, run in zip(letters, runs, strict=True) if run.chosen is value]
        for value in (True, False)
    )
    if not chosen or not others:
        return []
    return [
        "",
        f"the best epoch and the temperature of {_join(chosen)} were chosen on these images, "
        f"those of {_join(others)} were not, as far as faceemo can tell, so the comparison favours "
        f"{_join(chosen)}; "
        f"--split test is fair: train with {spell('test_share', 0.1)} in another --workdir, which "
        "sets a test split aside, and evaluate that run with --split test first",
    ]


def _join(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _make_letter(number: int) -> str:
    """Makes a name of letters for a number from 0: A to Z, then AA, AB and so on."""
    before, place = divmod(number, len(string.ascii_uppercase))
    return (_make_letter(before - 1) if before else "") + string.ascii_uppercase[place]


def _format_pair(one: str, first: ComparedRun, other: str, second: ComparedRun) -> list[str]:
    counts = count_pairs(first.predictions, second.predictions)
    difference, low, high = counts.difference()
    p, method = counts.mcnemar()
    return [
        f"{other} minus {one}",
        f"  accuracy      {100 * difference:+z.1f} points, 95% interval {100 * low:+z.1f} to "
        f"{100 * high:+z.1f}",
        f"  correct       both {counts.both:,}, neither {counts.neither:,}, only {one} "
        f"{counts.first:,}, only {other} {counts.second:,}",
        f"  McNemar       p = {p:.2g} ({method})",
    ]


def _format_seeds(letters: Sequence[str], runs: Sequence[ComparedRun]) -> list[str]:
    """Formats mean and spread of the runs that differ only in the seed."""
    letter_of = {id(run): letter for letter, run in zip(letters, runs, strict=True)}
    lines = []
    for by_seed in run_settings.group_by_seed(runs).values():
        if len(by_seed) < 2:
            continue
        members = ", ".join(
            f"{letter_of[id(run)]}: seed {seed}" for seed, same in by_seed.items() for run in same
        )
        lines += ["", f"{len(by_seed)} seeds of one recipe ({members})"]
        for name, values in (
            ("accuracy", run_settings.mean_per_seed(by_seed, lambda run: run.score.accuracy)),
            ("macro-F1", run_settings.mean_per_seed(by_seed, lambda run: run.score.macro_f1)),
        ):
            summary = summarize_seeds(values)
            lines.append(
                f"  {name:<14}mean {summary.mean:.3f}, standard deviation {summary.deviation:.3f}, "
                f"from {min(values):.3f} to {max(values):.3f}; {summary.describe_interval()}"
            )
    return lines
