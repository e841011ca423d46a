"""The ledger: one row per original image with its measurements, its fate and the reason.

A row has three kinds of fields. *Measured* fields come from the pixels, once per content. *Judged*
fields follow from the measured ones, the label scores and the rules (`faceemo.data.ledger.judge`),
so a changed rule needs no pixels. *Predicted* fields, the label scores among them, are written by
the search for suspect labels and survive both.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.errors import UserError

NAME = "ledger.jsonl"

KEPT = "kept"
NO_FACE = "no_face"
UNREADABLE = "unreadable"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
SUSPECT = "suspect"  # improbable label; only if the user leaves such images out
NO_MAJORITY = "no_majority"  # the votes on it name no emotion; only if they are the targets
FATES = (KEPT, NO_FACE, UNREADABLE, DUPLICATE, CONFLICT, SUSPECT, NO_MAJORITY)


# Slots, because a row without them takes four times the memory.
@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """Another image with a near difference hash, and how alike the pixels of the two are."""

    pixels_sha256: str  # of the other image
    path: str  # the first with those pixels, for people to look it up
    distance: int  # bits in which the hashes differ
    similarity: float  # of the pixels, -1..1 (`near.extract_fine_structure`)
    mirrored: bool  # whether the other image is compared after a flip from left to right


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One image. A field is None if its value is unknown or the image has none."""

    path: str  # below Facial_emotion_images, with '/': 'train/happy/7.jpg'
    sha256: str  # of the file, hexadecimal
    bytes: int  # size of the file
    split: str
    label: str
    given_label: str | None = None  # the source's own, if there are votes; '' if it has none
    votes: dict[str, int] | None = None  # of annotators, by what they voted for; None without any

    # measured
    mode: str | None  # Pillow's name: 'L' is 8-bit grey
    width: int | None  # pixels, as stored (before any EXIF rotation)
    height: int | None
    problem: str = ""  # why it cannot be decoded; empty if it can
    pixels_sha256: str | None = None  # of width, height and grey pixels, upright
    blank: float | None = None  # how little it shows, 0..1; 1 is a single grey
    # Of the best detection, 0..1; 0 if there is none. None if no detector has seen the image, which
    # then counts as a face, or if it cannot be decoded.
    face_confidence: float | None = None
    face_box: tuple[float, float, float, float] | None = None  # left, top, right, bottom in pixels
    face_side: int | None = None  # side of the detector's input, pixels
    dhash: str | None = None  # 64-bit difference hash, 16 hexadecimal digits
    dhash_mirrored: str | None = None  # that of the image flipped from left to right
    similar: tuple[Likeness, ...] = ()  # images with other pixels; equal for equal pixels

    # judged
    has_face: bool = False  # whether the confidence is above the threshold
    exact_group: str | None = None  # pixels_sha256 if other images have the same pixels
    duplicate_group: str | None = None  # dhash if other images have the same one
    near_group: str | None = None  # path of the centre, which all images of the group match
    near_distance: int | None = None  # bits between its hash and the centre's; 0 for the centre
    near_similarity: float | None = None  # of its pixels and the centre's; 1 for the centre
    near_mirrored: bool = False  # whether it matches the centre after a flip
    label_conflict: bool = False  # whether an image of one of its groups has another label
    leaks: tuple[str, ...] = ()  # other splits that hold a twin of it (`groups.Twins`), kept or not
    fate: str  # one of FATES
    reason: str  # empty if kept

    # predicted
    label_score: float | None = None  # out-of-fold probability of its label, 0..1
    predicted_label: str | None = None  # the most probable label


_NEWER = {"given_label", "votes"}  # which ledgers of older versions lack
_NAMES = tuple(field.name for field in dataclasses.fields(Row))
_LIKENESS_NAMES = tuple(field.name for field in dataclasses.fields(Likeness))
_FIELDS = frozenset(_NAMES) - _NEWER
_REPEATED = ("split", "label", "mode", "fate")  # fields with the same few texts in all rows


def write(root: Path, rows: Iterable[Row]) -> None:
    """Writes root/ledger.jsonl, sorted by path: equal rows give equal bytes."""
    with staging.file(root / NAME) as partial, partial.open("w", encoding="ascii") as lines:
        for row in sorted(rows, key=lambda row: row.path):
            lines.write(json.dumps(to_fields(row), allow_nan=False) + "\n")


def to_fields(row: Row) -> dict[str, Any]:
    """Returns a row as JSON: the value of each field by its name."""
    # not dataclasses.asdict(), which copies every field deeply and takes ten times as long
    similar = [{name: getattr(one, name) for name in _LIKENESS_NAMES} for one in row.similar]
    return {name: getattr(row, name) for name in _NAMES} | {"similar": similar}


def read(root: Path) -> list[Row]:
    """Reads the rows of root/ledger.jsonl, in order of path.

    Raises:
        UserError: If there is no ledger, or a line of it is not a row of this version.
    """
    path = root / NAME
    if not path.is_file():
        raise UserError(
            expected=f"the ledger {path}",
            found="no such file",
            fix="run faceemo prepare, which writes it",
        )
    rows = []
    with path.open(encoding="ascii") as lines:
        try:
            for line in lines:
                rows.append(_parse_row(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                expected=f"one JSON row per line in {path}, each with the fields of an image that "
                "this version of faceemo knows",
                found=f"line {len(rows) + 1}: {error}",
                fix="run faceemo prepare, which writes it anew",
            ) from error
    return rows


def _parse_row(fields: Any) -> Row:
    """Makes a row from a line's JSON. All fields are required: a default would look measured."""
    if not isinstance(fields, dict):
        raise TypeError("expected a JSON object in braces")
    if missing := sorted(_FIELDS - fields.keys()):
        raise ValueError(f"no {', '.join(missing)}: an older faceemo wrote it")
    box = fields["face_box"]
    for name in _REPEATED:
        if isinstance(fields[name], str):
            fields[name] = sys.intern(fields[name])
    return Row(
        **fields
        | {
            "face_box": tuple(box) if box else None,
            "similar": tuple(Likeness(**likeness) for likeness in fields["similar"]),
            "leaks": tuple(fields["leaks"]),
        }
    )


def count_by_split(rows: Sequence[Row], among: Iterable[Row] = ()) -> dict[str, dict[str, int]]:
    """Counts the rows of each split and class: {split: {label: count}}.

    Args:
        rows: The rows to count.
        among: Rows whose splits and classes are in the result, too, if only with a zero.
    """
    result: dict[str, dict[str, int]] = {}
    for row in among:
        result.setdefault(row.split, {})[row.label] = 0
    for row in rows:
        labels = result.setdefault(row.split, {})
        labels[row.label] = labels.get(row.label, 0) + 1
    return result


def list_classes(rows: Iterable[Row]) -> tuple[str, ...]:
    """Returns the classes that occur in `rows`, sorted."""
    return tuple(sorted({row.label for row in rows}))
