"""Answers by name, as a report's predictions.csv holds them, and how good a group of them is."""

import collections
import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from faceemo.analysis.statistics import macro_f1, wilson_interval
from faceemo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Score:
    """How well one group of images was answered."""

    images: int
    right: int
    interval: tuple[float, float]  # 95% Wilson interval of the accuracy
    macro_f1: float  # of `statistics.macro_f1`
    majority: str  # the most frequent label of the group
    baseline: float  # its share: the accuracy of always answering it

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0..1."""
        return self.right / self.images


def score(pairs: Sequence[tuple[str, str]]) -> Score:
    """Of (label, answer) of one image or more."""
    labels, answers = zip(*pairs, strict=True)
    right = sum(label == answer for label, answer in pairs)
    counts, names = collections.Counter(pairs), sorted({*labels, *answers})
    f1 = macro_f1([[counts[label, answer] for answer in names] for label in names])
    # the first in the alphabet of equals
    majority, most = collections.Counter(sorted(labels)).most_common(1)[0]
    interval = wilson_interval(right, len(pairs))
    return Score(len(pairs), right, interval, float(f1), majority, most / len(pairs))


def difference(one: Score, other: Score) -> tuple[float, float, float]:
    """Accuracy of `one` less that of `other`, on other images, with its 95% interval.

    Source: method 10 of R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, which puts the
    two Wilson intervals together.
    """
    gap = one.accuracy - other.accuracy
    down = math.hypot(one.accuracy - one.interval[0], other.interval[1] - other.accuracy)
    up = math.hypot(one.interval[1] - one.accuracy, other.accuracy - other.interval[0])
    return gap, gap - down, gap + up


def read(path: Path) -> dict[str, tuple[str, str]]:
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
