"""Words for the images that a preparation leaves out: how many, of which class, and why."""

import collections
import re
from collections.abc import Iterable, Iterator, Sequence

from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row

_MAX_REASONS = 3  # of one class
_MAX_REASON_LENGTH = 90  # characters


def describe_unreadable(rows: Sequence[Row]) -> list[str]:
    """Returns a line for each class that has files which cannot be decoded, with the reasons.

    Args:
        rows: Rows of a ledger, judged.
    """
    lines = []
    for label in ledger.list_classes(rows):
        of_class = [row for row in rows if row.label == label]
        if unreadable := [row for row in of_class if row.fate == ledger.UNREADABLE]:
            lines.append(
                f"{len(unreadable):,} of {len(of_class):,} files of {label} cannot be read: "
                f"{_format_reasons(unreadable)}"
            )
    return lines


def describe_emptied(rows: Sequence[Row], split: str, label: str) -> str | None:
    """Says why a class lost all its images in a split: 'all 5 of sad in train: 5 no face'.

    Args:
        rows: Rows of a ledger, judged.
        split: Name of the split.
        label: Name of the class.

    Returns:
        The words; None if an image is kept, or there was none in the first place.
    """
    lost = [row for row in rows if (row.split, row.label) == (split, label)]
    if not lost or any(row.fate == ledger.KEPT for row in lost):
        return None
    fates = collections.Counter(row.fate for row in lost)
    words = []
    for fate in ledger.FATES:
        if fates[fate]:
            words.append(f"{fates[fate]:,} {fate.replace('_', ' ')}")
        if fates[fate] and fate == ledger.UNREADABLE:
            reasons = _format_reasons(row for row in lost if row.fate == fate)
            words[-1] += f" ({reasons})"
    return f"all {len(lost):,} of {label} in {split}: {', '.join(words)}"


def list_emptied(rows: Sequence[Row]) -> Iterator[str]:
    """Yields the words of `describe_emptied` for each split and class to which they apply."""
    for split in SPLITS:
        for label in ledger.list_classes(rows):
            if words := describe_emptied(rows, split, label):
                yield words


def _format_reasons(rows: Iterable[Row]) -> str:
    """Counts the reasons of rows, the most frequent first; reasons may differ in their numbers."""
    counts: collections.Counter[str] = collections.Counter()
    examples: dict[str, str] = {}
    for row in rows:
        kind = re.sub(r"[0-9][0-9,]*", "#", row.reason)
        counts[kind] += 1
        examples.setdefault(kind, row.reason[:_MAX_REASON_LENGTH])
    words = [f"{count:,} {examples[kind]}" for kind, count in counts.most_common(_MAX_REASONS)]
    if len(counts) > _MAX_REASONS:
        words.append(f"{len(counts) - _MAX_REASONS} other reasons")
    return ", ".join(words)
