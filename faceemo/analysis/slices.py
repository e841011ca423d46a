"""One split's answers by what is known of its images: light, face, twins, leaks, own groups."""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceemo.analysis import predictions_csv
from faceemo.analysis.predictions import Predictions
from faceemo.analysis.predictions_csv import Score
from faceemo.data.ledger import ledger
from faceemo.data.ledger.groups import KINDS, Twins
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules
from faceemo.errors import UserError

UNKNOWN = "unknown"
LEAKED, CLEAN = "leaked", "not leaked"
# Where an image must not occur: what its split's accuracy would owe to having seen it.
_TAUGHT = {"validation": ("train",), "test": ("train", "validation")}
_QUARTERS = ("lowest", "second", "third", "highest")
_MOST = 20  # values of a user's column: more are numbers, or names of images


@dataclasses.dataclass(frozen=True)
class Cut:
    """One way to divide the images of a split.

    Attributes:
        by: what divides them.
        about: what that means, a sentence.
        names: of each image's slice, N in the order of the predictions.
        order: the slices' names, as they are to be shown.
    """

    by: str
    about: str
    names: tuple[str, ...]
    order: tuple[str, ...]


def cuts(
    predictions: Predictions,
    rows: Sequence[Row],
    rules: Rules,
    split: str,
    columns: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Cut]:
    """All ways to divide the images of a split, by the ledger, the pixels and the user's columns.

    Args:
        predictions: on the split.
        rows: the whole ledger; joined by path.
        rules: by which images were kept.
        split: its name.
        columns: of `read_columns`.

    Raises:
        UserError: if the columns know none of the images.
    """
    for values in (columns or {}).values():
        _refuse_other_paths(values, predictions.paths, split)
    known = {row.path: row for row in rows}
    found = [known.get(path) for path in predictions.paths]
    pixels = predictions.images.reshape(len(found), -1)
    faces = [row.face_confidence if row else None for row in found]
    leaks = leaked(rows, rules, split)
    result = [
        _named(
            "leaks",
            "Leaked is what has a twin (equal bytes, pixels or dHash, near, mirrored) among the "
            f"images kept in {' and '.join(_TAUGHT.get(split, ()))}.",
            [UNKNOWN if row is None else LEAKED if row.path in leaks else CLEAN for row in found],
            (CLEAN, LEAKED),
        ),
        _quarters(
            "brightness", "Mean grey level, 0 (black) to 255 (white).", pixels.mean(axis=1), ".0f"
        ),
        _quarters("contrast", "Standard deviation of the grey levels.", pixels.std(axis=1), ".0f"),
        _quarters(
            "face confidence",
            "Of the face detector, 0 to 1.",
            np.array([np.nan if face is None else face for face in faces]),
            ".4g",
        ),
        _named(
            "duplicate group",
            "The closest way in which another image of the source, kept or not, is alike.",
            [UNKNOWN if row is None else _likeness(row) for row in found],
            ("alone", "same pixels", "same dHash", "near"),
        ),
    ]
    for name, values in (columns or {}).items():
        names = [values.get(path, UNKNOWN) or UNKNOWN for path in predictions.paths]
        about = "A column of the file of groups."
        result.append(_named(name, about, names, sorted(set(names) - {UNKNOWN})))
    return [cut for cut in result if set(cut.names) != {UNKNOWN}]


def leaked(rows: Sequence[Row], rules: Rules, split: str) -> frozenset[str]:
    """Paths of `split` that have a twin among the kept images that its accuracy must not know."""
    kept = [row for row in rows if row.fate == ledger.KEPT]
    twins = Twins(kept, rules)
    taught = set(_TAUGHT.get(split, ()))
    return frozenset(
        row.path
        for row in kept
        if row.split == split and any(twins.splits(row, kind) & taught for kind in KINDS)
    )


def scores(predictions: Predictions, divided: Sequence[Cut]) -> list[dict[str, Any]]:
    """How good each slice of each cut was answered, as JSON can hold it.

    Returns:
        for each cut: by, about, and slices: name, images, right, accuracy, interval (95%, Wilson),
        macro_f1, majority_class, majority_baseline (of this slice), without the empty ones. For
        leaks also difference: accuracy of the leaked less that of the others, with its 95%
        interval, if there are both.
    """
    names = predictions.classes
    pairs = [
        (names[label], names[answer])
        for label, answer in zip(predictions.labels, predictions.predicted, strict=True)
    ]
    result = []
    for cut in divided:
        groups: dict[str, list[tuple[str, str]]] = {name: [] for name in (*cut.order, UNKNOWN)}
        for name, pair in zip(cut.names, pairs, strict=True):
            groups[name].append(pair)
        found = {name: predictions_csv.score(group) for name, group in groups.items() if group}
        entry: dict[str, Any] = {
            "by": cut.by,
            "about": cut.about,
            "slices": [_record(name, score) for name, score in found.items()],
        }
        if LEAKED in found and CLEAN in found:
            entry["difference"] = list(predictions_csv.difference(found[LEAKED], found[CLEAN]))
        result.append(entry)
    return result


def read_columns(path: Path) -> dict[str, dict[str, str]]:
    """{column: {path of the image: group}} from a user's CSV with the column path and others.

    Raises:
        UserError: if there is no such file, it lacks columns or rows, names an image twice, or
            has a column of more than 20 values.
    """
    fix = "give a CSV with the columns path ('validation/happy/7.jpg') and one or more of groups"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            columns = [name for name in table.fieldnames or () if name and name != "path"]
            rows = list(table)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(expected=f"groups at {path}", found=str(error), fix=fix) from error
    if not rows or not columns or any(row.get("path") is None for row in rows):
        raise UserError(
            expected=f"a row per image in {path}, with path and a group",
            found=f"{len(rows)} rows with {', '.join(rows[0]) if rows else 'nothing'}",
            fix=fix,
        )
    if len({row["path"] for row in rows}) < len(rows):
        raise UserError(
            expected=f"each image once in {path}",
            found=f"{len(rows) - len({row['path'] for row in rows})} rows that repeat one",
            fix="leave one row for each path",
        )
    found = {name: {row["path"]: (row[name] or "").strip() for row in rows} for name in columns}
    for name, values in found.items():
        if (many := len(set(values.values()))) > _MOST:
            raise UserError(
                expected=f"at most {_MOST} groups in the column {name!r} of {path}",
                found=f"{many}",
                fix="join them into fewer, or leave the column out",
            )
    return found


def _refuse_other_paths(values: Mapping[str, str], paths: Sequence[str], split: str) -> None:
    if values.keys().isdisjoint(paths):
        raise UserError(
            expected=f"paths of the {len(paths):,} images of {split}, such as {paths[0]!r}, in the "
            "file of groups",
            found=f"{len(values):,} others, such as {next(iter(values))!r}",
            fix="write them as the report's predictions.csv does (test/happy/7.jpg), or choose the "
            "--split that they are of",
        )


def _named(by: str, about: str, names: Sequence[str], order: Sequence[str]) -> Cut:
    return Cut(by, about, tuple(names), tuple(order))


def _likeness(row: Row) -> str:
    if row.exact_group:
        return "same pixels"
    if row.duplicate_group:
        return "same dHash"
    return "near" if row.near_group else "alone"


def _quarters(by: str, about: str, values: np.ndarray, form: str) -> Cut:
    """Into four of equal size, as far as equal values allow; NaN is unknown."""
    known = values[np.isfinite(values)]
    edges = np.quantile(known, [0.25, 0.5, 0.75]) if known.size else np.zeros(3)
    places = np.searchsorted(edges, values, side="right")
    words = {}
    for place in range(4):
        inside = values[(places == place) & np.isfinite(values)]
        if inside.size:
            low, high = format(inside.min(), form), format(inside.max(), form)
            words[place] = f"{_QUARTERS[place]} quarter, {low} to {high}"
    names = [
        words[place] if np.isfinite(value) else UNKNOWN
        for place, value in zip(places.tolist(), values, strict=True)
    ]
    return Cut(by, about, tuple(names), tuple(words.values()))


def _record(name: str, score: Score) -> dict[str, Any]:
    return {
        "name": name,
        "images": score.images,
        "right": score.right,
        "accuracy": score.accuracy,
        "interval": list(score.interval),
        "macro_f1": score.macro_f1,
        "majority_class": score.majority,
        "majority_baseline": score.baseline,
    }
