"""What a model answers on images that it was trained on, and on those it never saw."""

import csv
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sklearn import metrics

from faceemo.analysis.statistics import wilson_interval
from faceemo.data.foreign import SEEN, TWIN, UNSEEN
from faceemo.errors import UserError

ALL = "all"
# What a ratio without a denominator counts as. scikit-learn infers the type from its 'warn'.
_ZERO: Any = 0.0


@dataclasses.dataclass(frozen=True)
class Score:
    """How well one group of images was answered."""

    images: int
    right: int
    interval: tuple[float, float]  # 95% Wilson interval of the accuracy
    macro_f1: float

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0..1."""
        return self.right / self.images


def read_predictions(path: Path) -> dict[str, tuple[str, str]]:
    """{path of the image: (label, answer)} from a report's predictions.csv.

    Any CSV with the columns path, label and predicted will do.

    Raises:
        UserError: if there is no such file, or it lacks one of these columns or every row.
    """
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(
            expected=f"predictions at {path}",
            found=error.strerror or str(error),
            fix="name the predictions.csv of a report, as --mode=evaluate writes it",
        ) from error
    columns = ("path", "label", "predicted")
    if not rows or any(row.get(column) is None for row in rows for column in columns):
        raise UserError(
            expected=f"the columns {', '.join(columns)} and a row per image in {path}",
            found=f"{len(rows)} rows with {', '.join(rows[0]) if rows else 'nothing'}",
            fix="name the predictions.csv of a report, as --mode=evaluate writes it",
        )
    return {row["path"]: (row["label"], row["predicted"]) for row in rows}


def scores(predictions: Mapping[str, tuple[str, str]], seen: Mapping[str, str]) -> dict[str, Score]:
    """The score of each group of images that is not empty: all, seen, twin seen, unseen.

    Args:
        predictions: {path: (label, answer)}.
        seen: {path: group} (`faceemo.data.foreign.seen`).

    Raises:
        UserError: if an image is not in `seen`.
    """
    unknown = sorted(predictions.keys() - seen.keys())
    if unknown:
        raise UserError(
            expected="predictions on images of this ledger",
            found=f"{len(unknown):,} that it does not hold: {unknown[0]!r} and so on",
            fix="choose the dataset that was evaluated with --data_dir",
        )
    groups = {ALL: list(predictions.values())}
    for group in (SEEN, TWIN, UNSEEN):
        groups[group] = [pair for path, pair in predictions.items() if seen[path] == group]
    return {group: _score(pairs) for group, pairs in groups.items() if pairs}


def difference(one: Score, other: Score) -> tuple[float, float, float]:
    """Accuracy of `one` less that of `other`, with its 95% interval.

    Source: method 10 of R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, which puts the
    two Wilson intervals together.
    """
    gap = one.accuracy - other.accuracy
    down = math.hypot(one.accuracy - one.interval[0], other.interval[1] - other.accuracy)
    up = math.hypot(one.interval[1] - one.accuracy, other.accuracy - other.interval[0])
    return gap, gap - down, gap + up


def table(found: Mapping[str, Score]) -> str:
    """The scores as aligned text, and what having seen the images is worth."""
    lines = [f"{'images':<10}{'number':>8}{'accuracy':>10}   {'95% interval':<16}{'macro-F1':>9}"]
    for group, score in found.items():
        low, high = score.interval
        interval = f"{low:.3f} to {high:.3f}"
        lines.append(
            f"{group:<10}{score.images:>8,}{score.accuracy:>10.3f}   {interval:<16}"
            f"{score.macro_f1:>9.3f}"
        )
    if SEEN in found and UNSEEN in found:
        gap, low, high = difference(found[SEEN], found[UNSEEN])
        lines.append(
            f"on images it has seen it is {100 * gap:+.1f} points better "
            f"(95% interval {100 * low:+.1f} to {100 * high:+.1f})"
        )
    return "\n".join(lines)


def _score(pairs: list[tuple[str, str]]) -> Score:
    labels, answers = zip(*pairs, strict=True)
    right = sum(label == answer for label, answer in pairs)
    # over the classes that occur as a label: a model may know more than the images show
    f1 = metrics.f1_score(
        labels, answers, labels=sorted(set(labels)), average="macro", zero_division=_ZERO
    )
    return Score(len(pairs), right, wilson_interval(right, len(pairs)), float(f1))
