"""Reads a report's predictions.csv, and scores groups of its images."""

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
    """Scores of one group of images.

    Attributes:
        images: Number of images, from 1.
        right: Number of correct predictions.
        interval: 95% Wilson interval of the accuracy.
        macro_f1: Macro-F1 (`statistics.macro_f1`).
        majority: The most frequent label of the group.
        baseline: Share of that label, which is the accuracy of always predicting it.
    """

    images: int
    right: int
    interval: tuple[float, float]
    macro_f1: float
    majority: str
    baseline: float

    @property
    def accuracy(self) -> float:
        """Share of correct predictions, 0..1."""
        return self.right / self.images


def score(pairs: Sequence[tuple[str, str]]) -> Score:
    """Scores a group of images, given as one or more pairs of (label, predicted class)."""
    labels, predicted = zip(*pairs, strict=True)
    right = sum(label == other for label, other in pairs)
    counts, names = collections.Counter(pairs), sorted({*labels, *predicted})
    f1 = macro_f1([[counts[label, other] for other in names] for label in names])
    # sorted, so that the alphabet decides between equals
    majority, most = collections.Counter(sorted(labels)).most_common(1)[0]
    interval = wilson_interval(right, len(pairs))
    return Score(len(pairs), right, interval, float(f1), majority, most / len(pairs))


def accuracy_difference(one: Score, other: Score) -> tuple[float, float, float]:
    """Returns the accuracy of `one` minus that of `other`, and its 95% interval (low, high).

    The two groups have no image in common.

    Source: method 10 of R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, which
    combines the two Wilson intervals.
    """
    gap = one.accuracy - other.accuracy
    down = math.hypot(one.accuracy - one.interval[0], other.interval[1] - other.accuracy)
    up = math.hypot(one.interval[1] - one.accuracy, other.accuracy - other.interval[0])
    return gap, gap - down, gap + up


def read(path: Path) -> dict[str, tuple[str, str]]:
    """Reads {image path: (label, predicted class)} from a report's predictions.csv.

    Any CSV with the columns path, label and predicted is accepted.

    Raises:
        UserError: If the file does not exist, lacks one of these columns, or has no rows.
    """
    return {row["path"]: (row["label"], row["predicted"]) for row in _read_rows(path)}


def read_names(path: Path) -> dict[str, str]:
    """Reads {image path: path in the user's source} from a report's predictions.csv.

    Returns:
        The paths in the source; those of the images themselves if the file has no others.

    Raises:
        UserError: As `read` does.
    """
    return {row["path"]: row.get("source_path") or row["path"] for row in _read_rows(path)}


def _read_rows(path: Path) -> list[dict[str, str]]:
    fix = "give the predictions.csv of a report, which faceemo evaluate writes"
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise UserError(
            expected=f"predictions at {path}",
            found="no such file" if missing else f"what cannot be read ({error.strerror})",
            fix=fix,
        ) from error
    columns = ("path", "label", "predicted")
    if not rows or any(row.get(column) is None for row in rows for column in columns):
        raise UserError(
            expected=f"the columns {', '.join(columns)} and a row per image in {path}",
            found=f"{len(rows)} rows with {', '.join(map(str, rows[0])) if rows else 'nothing'}",
            fix=fix,
        )
    return rows
