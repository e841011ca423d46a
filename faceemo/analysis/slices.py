"""Scores slices of a split: by leaks, brightness, contrast, face, duplicates, the user's groups."""

import csv
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceemo.analysis import predictions_csv
from faceemo.analysis.predictions import Predictions
from faceemo.analysis.predictions_csv import Score
from faceemo.data.disk.stored_images import Images, chunks
from faceemo.data.ledger import ledger
from faceemo.data.ledger.groups import KINDS, Twins
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure.colour import to_grey_levels
from faceemo.errors import UserError, escape_name

UNKNOWN = "unknown"
LEAKED, CLEAN = "leaked", "not leaked"
TWIN, ALONE = "has a twin", "no twin"
# Splits that training or model selection has seen before the split is evaluated.
_SEEN_BEFORE = {"validation": ("train",), "test": ("train", "validation")}
_QUARTERS = ("lowest", "second", "third", "highest")
_MAX_GROUPS = 20  # in a user's column: more would be numbers, or names of images


@dataclasses.dataclass(frozen=True)
class Grouping:
    """One way to divide the images of a split into slices.

    Attributes:
        by: Name of the property that divides the images.
        about: A sentence that explains it.
        names: Name of each image's slice, N in the order of the predictions.
        order: Names of the slices, in the order in which they are shown.
    """

    by: str
    about: str
    names: tuple[str, ...]
    order: tuple[str, ...]


def make_groupings(
    predictions: Predictions,
    rows: Sequence[Row],
    rules: Rules,
    split: str,
    columns: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Grouping]:
    """Divides the images of a split by the ledger, the pixels and the user's columns.

    Args:
        predictions: Predictions on the split.
        rows: The whole ledger, joined by path.
        rules: Rules by which images were kept.
        split: Name of the split.
        columns: The user's groups by the paths of the predictions (`match_columns`).

    Returns:
        The groupings, without those in which every image is unknown.
    """
    known = {row.path: row for row in rows}
    records = [known.get(path) for path in predictions.paths]
    brightness, contrast = _measure_pixels(predictions.images)
    faces = [row.face_confidence if row else None for row in records]
    leaked = find_leaked(rows, rules, split)
    result = [
        _make_grouping(
            "leaks",
            "An image is leaked if it has a twin (equal bytes, pixels or dHash, near, mirrored) "
            f"among the images kept in {' and '.join(_SEEN_BEFORE.get(split, ()))}.",
            [
                UNKNOWN if row is None else LEAKED if row.path in leaked else CLEAN
                for row in records
            ],
            (CLEAN, LEAKED),
        ),
        *_group_by_twins(records, leaked, split),
        _make_quarters(
            "brightness", "Mean grey level, 0 (black) to 255 (white).", brightness, ".0f"
        ),
        _make_quarters("contrast", "Standard deviation of the grey levels.", contrast, ".0f"),
        _make_quarters(
            "face confidence",
            "Confidence of the face detector, 0 to 1.",
            np.array([np.nan if face is None else face for face in faces]),
            ".4g",
        ),
        _make_grouping(
            "duplicate group",
            "Closest match to another image of the source that passed screening, kept or not.",
            [UNKNOWN if row is None else _closest_likeness(row) for row in records],
            ("alone", "same pixels", "same dHash", "near"),
        ),
    ]
    for name, values in (columns or {}).items():
        names = [values.get(path, UNKNOWN) or UNKNOWN for path in predictions.paths]
        about = "A column of the user's file of groups."
        result.append(_make_grouping(name, about, names, sorted(set(names) - {UNKNOWN})))
    return [grouping for grouping in result if set(grouping.names) != {UNKNOWN}]


def _measure_pixels(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of the grey levels of each image, float64 [N] each."""
    found = []
    for some in chunks(images):
        pixels = to_grey_levels(some).reshape(len(some), -1)
        found.append((pixels.mean(axis=1), pixels.std(axis=1)))
    means, deviations = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return means, deviations


def _group_by_twins(
    records: Sequence[Row | None], leaked: Collection[str], split: str
) -> list[Grouping]:
    """Divides images by whether a split seen before had a twin, if the preparation removed any."""
    seen = set(_SEEN_BEFORE.get(split, ()))
    twins = {row.path for row in records if row and seen & set(row.leaks)}
    if twins <= set(leaked):
        return []
    about = (
        f"An image has a twin if the source's {' and '.join(_SEEN_BEFORE[split])} had an equal, "
        "nearly equal or mirrored one; what is left out of training is counted, too."
    )
    names = [UNKNOWN if row is None else TWIN if row.path in twins else ALONE for row in records]
    return [_make_grouping("twins in the source", about, names, (ALONE, TWIN))]


def find_leaked(rows: Sequence[Row], rules: Rules, split: str) -> frozenset[str]:
    """Returns the paths of `split` with a twin among the kept images of splits seen before it."""
    kept = [row for row in rows if row.fate == ledger.KEPT]
    twins = Twins(kept, rules)
    seen = set(_SEEN_BEFORE.get(split, ()))
    return frozenset(
        row.path
        for row in kept
        if row.split == split and any(twins.other_splits(row, kind) & seen for kind in KINDS)
    )


def score_slices(predictions: Predictions, groupings: Sequence[Grouping]) -> list[dict[str, Any]]:
    """Scores each slice of each grouping, as plain Python values that JSON can hold.

    Returns:
        For each grouping: by, about and slices; for each slice that is not empty: name, images,
        right, accuracy, interval (95%, Wilson), macro_f1, majority_class and majority_baseline (of
        the slice). For leaks also difference, if there are leaked and other images: the accuracy
        of the leaked minus that of the others, with its 95% interval.
    """
    names = predictions.classes
    pairs = [
        (names[label], names[predicted])
        for label, predicted in zip(predictions.labels, predictions.predicted, strict=True)
    ]
    result = []
    for grouping in groupings:
        groups: dict[str, list[tuple[str, str]]] = {name: [] for name in (*grouping.order, UNKNOWN)}
        for name, pair in zip(grouping.names, pairs, strict=True):
            groups[name].append(pair)
        found = {name: predictions_csv.score(group) for name, group in groups.items() if group}
        entry: dict[str, Any] = {
            "by": grouping.by,
            "about": grouping.about,
            "slices": [_record(name, score) for name, score in found.items()],
        }
        if LEAKED in found and CLEAN in found:
            entry["difference"] = list(
                predictions_csv.accuracy_difference(found[LEAKED], found[CLEAN])
            )
        result.append(entry)
    return result


def read_columns(path: Path) -> dict[str, dict[str, str]]:
    """Reads {column: {image path: group}} from a user's CSV with the column path and others.

    Raises:
        UserError: If the file does not exist, lacks columns or rows, names an image twice, or has a
            column of more than 20 values.
    """
    fix = (
        "give a CSV with the column path ('validation/happy/7.jpg', or the path in your source) "
        "and columns of groups"
    )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            names = list(table.fieldnames or ())
            rows = list(table)
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or "text in another encoding than UTF-8"
        raise UserError(expected=f"a CSV of groups at {path}", found=found, fix=fix) from error
    columns = [name for name in names if name and name != "path"]
    if not columns or "path" not in names:
        raise UserError(
            expected=f"the column path and one or more columns of groups in {path}",
            found=f"the columns {', '.join(names)}" if names else "none",
            fix=fix,
        )
    if not any((row[name] or "").strip() for row in rows for name in columns):
        raise UserError(
            expected=f"a row per image in {path}, with its path and a group",
            found=f"{len(rows):,} rows without a group",
            fix=fix,
        )
    if broken := [number for number, row in enumerate(rows, 2) if not row["path"] or None in row]:
        raise UserError(
            expected=f"a path and {len(columns)} groups in every row of {path}",
            found=f"another number of values in row {broken[0]:,}",
            fix="correct that row",
        )
    if len({row["path"] for row in rows}) < len(rows):
        raise UserError(
            expected=f"each image once in {path}",
            found=f"{len(rows) - len({row['path'] for row in rows})} rows that repeat one",
            fix="keep one row for each path",
        )
    found = {name: {row["path"]: (row[name] or "").strip() for row in rows} for name in columns}
    for name, values in found.items():
        if (count := len(set(values.values()))) > _MAX_GROUPS:
            raise UserError(
                expected=f"at most {_MAX_GROUPS} groups in the column {name!r} of {path}",
                found=f"{count} groups",
                fix="merge groups, or remove the column",
            )
    return found


def match_columns(
    columns: Mapping[str, Mapping[str, str]], paths: Sequence[str], names: Sequence[str], split: str
) -> dict[str, dict[str, str]]:
    """Finds the images that a user's file of groups names, by either of their two paths.

    Args:
        columns: The user's groups (`read_columns`). Their paths are all of the one form or all of
            the other; of a file that mixes both, the more frequent form counts.
        paths: Paths of the images as a `Split` has them.
        names: Their paths in the user's source.
        split: Name of the split.

    Returns:
        The groups by the paths as a `Split` has them.

    Raises:
        UserError: If a column names none of the images.
    """
    forms = [dict(zip(map(escape_name, form), paths, strict=True)) for form in (paths, names)]
    found = {}
    for column, values in columns.items():
        written = {escape_name(path): group for path, group in values.items()}
        known = [
            {form[path]: group for path, group in written.items() if path in form} for form in forms
        ]
        found[column] = max(known, key=len)
        if not found[column]:
            examples = dict.fromkeys((repr(paths[0]), repr(names[0])))
            raise UserError(
                expected=f"paths of the {len(paths):,} images of {split}, such as "
                f"{' or '.join(examples)}, in the file of groups",
                found=f"{len(values):,} others, such as {next(iter(values))!r}",
                fix="write paths as the columns path or source_path of the report's "
                "predictions.csv have them, or choose the --split that the images belong to",
            )
    return found


def _make_grouping(by: str, about: str, names: Sequence[str], order: Sequence[str]) -> Grouping:
    return Grouping(by, about, tuple(names), tuple(order))


def _closest_likeness(row: Row) -> str:
    if row.exact_group:
        return "same pixels"
    if row.duplicate_group:
        return "same dHash"
    return "near" if row.near_group else "alone"


def _make_quarters(by: str, about: str, values: np.ndarray, form: str) -> Grouping:
    """Divides images into quarters, as equal as ties allow; NaN is unknown."""
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
    return Grouping(by, about, tuple(names), tuple(words.values()))


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
