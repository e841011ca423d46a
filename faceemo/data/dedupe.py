"""De-duplication by difference hash, and the count of what leaks between the splits.

The hash is `imagehash.dhash`, 64 bit, of the file as stored; equal hashes make a group. Rules
(SPEC section 2), over the train and validation images with a face:

- a group whose members disagree on the emotion is dropped whole: nobody knows which label is right;
- a group in both splits stays in one: `KEPT_SPLIT`;
- of what is left of a group, the lowest FER row (the file's name as a number) stays.

The test split is never changed. What it shares with the others is counted instead (`leaks`).
"""

import collections
import dataclasses
import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import imagehash
from PIL import Image
from tqdm import tqdm

from faceemo import staging
from faceemo.config import SPLITS
from faceemo.data import archive, ledger
from faceemo.data.ledger import Row

FOLDER = "unique_images"

# Where a group that spans both splits keeps its image: the original project's choice.
KEPT_SPLIT = {"happy": "train"} | dict.fromkeys(("neutral", "sad", "surprise"), "validation")
_KEPT_ELSE = "validation"  # of classes that the original did not have

# Which split is searched for images of which others.
LEAKS = {
    "validation in train": ("validation", ("train",)),
    "test in train": ("test", ("train",)),
    "test in validation": ("test", ("validation",)),
}
SAMENESS = {"same bytes": "sha256", "same dHash": "dhash"}

Leaks = dict[str, dict[str, dict[str, int]]]  # LEAKS -> SAMENESS -> class -> images


def dedupe(root: Path, rows: Sequence[Row]) -> list[Row]:
    """Copies the images that stay into unique_images and books the others.

    Args:
        root: the folder with Facial_emotion_images.
        rows: the ledger after screening (or after an earlier de-duplication, which is undone).

    Returns:
        The rows in the same order, with hash, group, fate and reason.
    """
    originals = root / archive.FOLDER
    judged = judge([_hashed(originals, row) for row in tqdm(rows, "hash", disable=None)])
    with staging.folder(root / FOLDER) as partial:
        for split in SPLITS:
            for label in ledger.classes(rows):
                (partial / split / label).mkdir(parents=True)
        for row in tqdm(judged, "copy", disable=None):
            if row.fate == ledger.KEPT:
                shutil.copyfile(originals / row.path, partial / row.path)
    return judged


def judge(rows: Sequence[Row]) -> list[Row]:
    """`rows` with duplicate group, fate and reason by the rules above, in the same order."""
    groups = collections.defaultdict(list)
    for row in rows:
        if row.has_face and row.split in ("train", "validation"):
            groups[row.dhash].append(row)
    fates = {}
    for dhash, members in groups.items():
        if len(members) > 1:
            for row, fate, reason in _verdicts(members):
                changes = {"duplicate_group": dhash, "fate": fate, "reason": reason}
                fates[row.path] = dataclasses.replace(row, **changes)
    return [fates.get(row.path, row) for row in rows]


def leaks(rows: Sequence[Row]) -> Leaks:
    """How many images of one split have a twin in another, by class of the former.

    Args:
        rows: hashed rows. Those of a train or validation image without a hash have no twin.
    """
    result: Leaks = {}
    labels = ledger.classes(rows)
    for name, (searched, others) in LEAKS.items():
        result[name] = {}
        for sameness, field in SAMENESS.items():
            elsewhere = {getattr(row, field) for row in rows if row.split in others} - {None}
            found = collections.Counter(
                row.label
                for row in rows
                if row.split == searched and getattr(row, field) in elsewhere
            )
            result[name][sameness] = {label: found[label] for label in labels}
    return result


def row_order(path: str) -> tuple:
    """Sorts paths by FER row number: numeric names first, the others after them naturally.

    Natural order compares runs of digits as numbers, so that 'face10' follows 'face9'.
    """
    name = PurePosixPath(path).stem
    runs = re.split(r"([0-9]+)", name)  # text and digits in turn, so like meets like
    natural = tuple(int(run) if index % 2 else run for index, run in enumerate(runs))
    return re.fullmatch(r"[0-9]+", name) is None, natural, path


def _verdicts(members: Sequence[Row]) -> list[tuple[Row, str, str]]:
    """(row, fate, reason) for each member of one group."""
    counts = collections.Counter(row.label for row in members)
    if len(counts) > 1:
        labels = ", ".join(f"{counts[label]} {label}" for label in sorted(counts))
        return [
            (row, ledger.CONFLICT, f"images with this dHash disagree: {labels}") for row in members
        ]
    (label,) = counts
    splits = {row.split for row in members}
    split = KEPT_SPLIT.get(label, _KEPT_ELSE) if len(splits) > 1 else splits.pop()
    kept = min((row for row in members if row.split == split), key=lambda row: row_order(row.path))
    return [
        (row, ledger.KEPT, "")
        if row is kept
        else (row, ledger.DUPLICATE, f"same dHash as {kept.path}, which is kept")
        for row in members
    ]


def _hashed(originals: Path, row: Row) -> Row:
    """`row` with its hash, and with what an earlier de-duplication booked taken back."""
    if row.fate == ledger.UNREADABLE:
        return row
    with Image.open(originals / row.path) as image:
        dhash = str(imagehash.dhash(image))
    changes = {"dhash": dhash, "duplicate_group": None}
    if row.has_face:
        changes |= {"fate": ledger.KEPT, "reason": ""}
    return dataclasses.replace(row, **changes)
