"""The file in a dataset's folder that lists the images of the source that are no originals.

The ledger has a row for every original. Images that the source itself labels as no emotion, that
its lists name but that are not there, and those of other classes never become originals: they are
in this file, with the reason.
"""

import collections
import json
from collections.abc import Mapping
from pathlib import Path

from faceemo import staging
from faceemo.data.source.layout import LeftOut
from faceemo.errors import escape_name

NAME = "left_out.jsonl"


def write(root: Path, images: Mapping[str, LeftOut]) -> None:
    """Writes root/left_out.jsonl, sorted by path; removes it if there are no such images.

    Args:
        root: The dataset's folder.
        images: Label and reason of each image, by its path in the source.
    """
    if not images:
        (root / NAME).unlink(missing_ok=True)
        return
    with staging.file(root / NAME) as partial, partial.open("w", encoding="ascii") as lines:
        for path, image in sorted(images.items()):
            lines.write(json.dumps({"path": escape_name(path)} | image._asdict()) + "\n")


def read(root: Path) -> dict[str, LeftOut]:
    """Reads root/left_out.jsonl; no images if there is no such file."""
    path = root / NAME
    if not path.is_file():
        return {}
    with path.open(encoding="ascii") as lines:
        rows = [json.loads(line) for line in lines]
    return {row["path"]: LeftOut(row["label"], row["reason"]) for row in rows}


def format_images(
    images: Mapping[str, LeftOut], label: str | None = None, path: str = "", limit: int = 0
) -> str:
    """Formats images as lines of path, label and reason, followed by counts of the reasons.

    Args:
        images: The images, by their path in the source.
        label: Only those with this label in the source; None for all.
        path: Only those whose path contains this text.
        limit: Largest number of lines; 0 shows all.
    """
    rows = [
        (name, image.label or "-", image.reason)
        for name, image in images.items()
        if label in (None, image.label) and path in name
    ]
    shown = rows[:limit] if limit else rows
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
    reasons = collections.Counter(reason for *_, reason in rows)
    counts = "; ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    noun = "image" if len(rows) == 1 else "images"
    return "\n".join([*lines, f"{len(rows):,} {noun}: {counts or 'none left out'}"])
