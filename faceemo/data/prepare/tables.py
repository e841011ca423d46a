"""Text tables of the preparation: counts beside the published ones, leaks, and the ledger."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from faceemo.config import CLASSES, SPLITS
from faceemo.data.ledger.leaks import Leaks
from faceemo.data.ledger.ledger import FATES, Likeness, Row
from faceemo.errors import escape_name

Counts = Mapping[str, Mapping[str, int]]  # split -> class -> images

# The counts that the original project published, by stage and split, in the order of CLASSES.
_PUBLISHED = {
    "unpack": {
        "train": (3976, 3978, 3982, 3173),
        "validation": (1825, 1216, 1139, 797),
        "test": (32, 32, 32, 32),
    },
    "screen": {
        "train": (3951, 3941, 3897, 3143),
        "validation": (1811, 1210, 1116, 789),
        "test": (31, 32, 31, 32),
    },
    "dedupe": {
        "train": (3914, 3841, 3782, 2643),
        "validation": (1769, 1202, 1105, 755),
        "test": (31, 32, 31, 32),
    },
}
PUBLISHED_COUNTS: dict[str, Counts] = {
    stage: {split: dict(zip(CLASSES, row, strict=True)) for split, row in splits.items()}
    for stage, splits in _PUBLISHED.items()
}
# Other copies of the original project's images hold at most this share of images more or fewer.
_TOLERANCE = 0.1
_TEST_TOLERANCE = 1  # images of a class in the test split, which no copy shortens


def find_published(stage: str, counts: Counts) -> Counts | None:
    """Returns the counts published for a stage, if these images can be the original project's.

    Args:
        stage: Stage after which the images were counted: 'unpack', 'screen' or 'dedupe'.
        counts: Number of images of each split and class.

    Returns:
        The published counts; None if classes differ, the numbers of images by more than a tenth, or
        those of a class in the test split, which no copy shortens, by more than one.
    """
    published = PUBLISHED_COUNTS[stage]
    expected, found = _total(published), _total(counts)
    alike = _classes(counts) == CLASSES and abs(found - expected) <= _TOLERANCE * expected
    test = counts.get("test", {})
    same_test = all(
        abs(test.get(c, 0) - n) <= _TEST_TOLERANCE for c, n in published["test"].items()
    )
    return published if alike and same_test else None


def format_counts(stage: str, counts: Counts) -> str:
    """Formats counts of images, above the published ones if they apply (`find_published`).

    Args:
        stage: Stage after which the images were counted: 'unpack', 'screen' or 'dedupe'.
        counts: Number of images of each split and class.
    """
    classes = _classes(counts)
    lines = [_line("", "", (*classes, "all"))]
    both: dict[str, Counts] = {"here": counts}
    if published := find_published(stage, counts):
        both["original"] = published
    for split in (*SPLITS, "all"):
        for project, numbers in both.items():
            splits = SPLITS if split == "all" else (split,)
            row = [sum(numbers.get(s, {}).get(label, 0) for s in splits) for label in classes]
            lines.append(_line(split if project == "here" else "", project, _with_total(row)))
    return "\n".join(lines)


def format_leaks(before: Leaks, after: Leaks) -> str:
    """Formats counts of images with a twin in another split, before and after de-duplication."""
    lines = []
    for pair, kinds in before.items():
        if not any(sum(labels.values()) for labels in kinds.values()):
            lines.append(f"  {pair}: none, by any measure")
            continue
        labels = list(next(iter(kinds.values())))
        lines.append(_line(pair, "", (*labels, "all")))
        for kind in kinds:
            for when, numbers in (("before", before), ("after", after)):
                row = [numbers[pair][kind].get(label, 0) for label in labels]
                lines.append(_line(kind if when == "before" else "", when, _with_total(row)))
    return "\n".join(lines)


# The columns of `format_ledger` by default.
LEDGER_COLUMNS = (
    "path", "fate", "face_confidence", "blank", "near_group", "near_distance", "near_similarity",
    "leaks", "reason",
)  # fmt: skip


def format_ledger(
    rows: Sequence[Row],
    columns: Sequence[str] = LEDGER_COLUMNS,
    sort: str | None = None,
    limit: int = 0,
) -> str:
    """Formats rows as aligned lines under the names of their fields, followed by counts.

    Args:
        rows: Rows of a ledger.
        columns: Names of the fields to show.
        sort: Field by which rows are sorted, the largest first and rows without it last; None
            keeps the order.
        limit: Largest number of rows; 0 shows all.
    """
    if sort:
        known = [row for row in rows if getattr(row, sort) not in (None, ())]
        unknown = [row for row in rows if getattr(row, sort) in (None, ())]
        rows = sorted(known, key=lambda row: getattr(row, sort), reverse=True) + unknown
    shown = rows[:limit] if limit else rows
    cells = [[_cell(getattr(row, column)) for column in columns] for row in shown]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (columns, *cells)
    ]
    fates = collections.Counter(row.fate for row in rows)
    counted = ", ".join(f"{fates[fate]:,} {fate}" for fate in FATES if fates[fate])
    hidden = f"; the first {len(shown):,} are shown" if len(shown) < len(rows) else ""
    return "\n".join([*lines, f"{len(rows):,} images{f': {counted}' if rows else ''}{hidden}"])


def _cell(value: Any) -> str:
    """Formats a field in few characters, without any that a terminal would interpret."""
    if value is None or value == ():
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return " ".join(_cell(part) for part in value)
    if isinstance(value, Likeness):
        mirrored = ", mirrored" if value.mirrored else ""
        return f"{_cell(value.path)} ({value.distance} bits, {value.similarity:.2f}{mirrored})"
    return escape_name(str(value))


def _classes(counts: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    return tuple(sorted({label for labels in counts.values() for label in labels}))


def _total(counts: Counts) -> int:
    return sum(sum(labels.values()) for labels in counts.values())


def _with_total(row: Sequence[int]) -> list[str]:
    return [f"{number:,}" for number in (*row, sum(row))]


def _line(first: str, second: str, cells: Sequence[str]) -> str:
    # 'validation in train' runs over into the second column, which is then empty
    return f"  {first:<13}{second:<9}"[:24].ljust(24) + "".join(f" {cell:>9}" for cell in cells)
