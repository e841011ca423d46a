"""The ledger: one row per original image, saying what became of it and why."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from faceemo import staging
from faceemo.errors import UserError

NAME = "ledger.jsonl"

KEPT = "kept"
NO_FACE = "no_face"
UNREADABLE = "unreadable"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
FATES = (KEPT, NO_FACE, UNREADABLE, DUPLICATE, CONFLICT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One image. What a stage has not found out, or cannot for this image, is None."""

    path: str  # below Facial_emotion_images, with '/': 'train/happy/7.jpg'
    sha256: str  # of the file, hexadecimal
    bytes: int  # size of the file
    mode: str | None  # Pillow's name: 'L' is 8-bit grey
    width: int | None  # pixels, as stored (before any EXIF rotation)
    height: int | None
    split: str
    label: str
    face_confidence: float | None  # of the best detection, 0..1; 0 if there is none
    face_box: tuple[float, float, float, float] | None  # its left, top, right, bottom in pixels
    dhash: str | None  # 64-bit difference hash, 16 hexadecimal digits
    duplicate_group: str | None  # the same for all images of one group
    fate: str  # one of FATES
    reason: str  # empty if kept

    @property
    def has_face(self) -> bool:
        """Whether the image passed the face screening."""
        return self.fate not in (NO_FACE, UNREADABLE)


def write(root: Path, rows: Iterable[Row]) -> None:
    """Writes root/ledger.jsonl, sorted by path: the same rows always give the same bytes."""
    with staging.file(root / NAME) as partial, partial.open("w", encoding="ascii") as lines:
        for row in sorted(rows, key=lambda row: row.path):
            # vars(), not dataclasses.asdict(): that copies every field deeply, ten times slower
            lines.write(json.dumps(vars(row), allow_nan=False) + "\n")


def read(root: Path) -> list[Row]:
    """The rows of root/ledger.jsonl, in order of path.

    Raises:
        UserError: if there is no ledger, or a line of it is not a row.
    """
    path = root / NAME
    if not path.is_file():
        raise UserError(
            expected=f"the ledger {path}",
            found="no such file",
            fix="run scripts/detect_faces.py, which writes it",
        )
    rows = []
    with path.open(encoding="ascii") as lines:
        try:
            for line in lines:
                fields = json.loads(line)
                box = fields["face_box"]
                rows.append(Row(**fields | {"face_box": tuple(box) if box else None}))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                expected=f"one JSON row per line in {path}, each with the fields of an image",
                found=f"line {len(rows) + 1}: {error}",
                fix="delete the ledger and run the preparation again",
            ) from error
    return rows


def counts(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """How many of `rows` each split and class holds: {split: {label: count}}, without zeros."""
    result: dict[str, dict[str, int]] = {}
    for row in rows:
        labels = result.setdefault(row.split, {})
        labels[row.label] = labels.get(row.label, 0) + 1
    return result


def classes(rows: Iterable[Row]) -> tuple[str, ...]:
    """The classes that occur in `rows`, sorted."""
    return tuple(sorted({row.label for row in rows}))
