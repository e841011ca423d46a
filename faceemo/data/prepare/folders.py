"""Fills the folders of a preparation with copies of the originals, byte for byte."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from faceemo import staging
from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.source import archive

SCREENED = "face_detection"
HIGH, LOW = "high_confidence_images", "low_confidence_images"
UNIQUE = "unique_images"


def fill_screened(root: Path, rows: Sequence[Row]) -> None:
    """Copies the originals into face_detection, divided by high and low confidence.

    Images that cannot be decoded are not copied. The test split is divided like the other splits,
    as in the original study.

    Args:
        root: The dataset's folder, which holds Facial_emotion_images.
        rows: The ledger's rows, judged.
    """
    with staging.folder(root / SCREENED) as partial:
        for confidence in (HIGH, LOW):
            _make_class_folders(partial / confidence, rows)
        for row in tqdm(rows, "copy", disable=None):
            if not row.problem:
                confidence = HIGH if row.has_face else LOW
                shutil.copyfile(root / archive.FOLDER / row.path, partial / confidence / row.path)


def fill_unique(root: Path, rows: Sequence[Row]) -> None:
    """Copies the originals that the ledger keeps into unique_images.

    Args:
        root: The dataset's folder, which holds Facial_emotion_images.
        rows: The ledger's rows, judged.
    """
    with staging.folder(root / UNIQUE) as partial:
        _make_class_folders(partial, rows)
        for row in tqdm(rows, "copy", disable=None):
            if row.fate == ledger.KEPT:
                shutil.copyfile(root / archive.FOLDER / row.path, partial / row.path)


def _make_class_folders(folder: Path, rows: Sequence[Row]) -> None:
    """Makes an empty folder for every split and class, including splits without images."""
    for split in SPLITS:
        for label in ledger.list_classes(rows):
            (folder / split / label).mkdir(parents=True)
