"""Fills the folders of a preparation with copies of the originals, byte for byte."""

import hashlib
from collections.abc import Mapping, Sequence
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

    Images that cannot be decoded are not copied, and neither are those that no detector has seen.
    The test split is divided like the other splits, as in the original study.

    Args:
        root: The dataset's folder, which holds Facial_emotion_images.
        rows: The ledger's rows, judged.
    """
    targets = {
        row.path: f"{HIGH if row.has_face else LOW}/{row.path}"
        for row in rows
        if not row.problem and row.face_confidence is not None
    }
    _fill(root, root / SCREENED, [f"{HIGH}/", f"{LOW}/"], rows, targets)


def fill_unique(root: Path, rows: Sequence[Row]) -> None:
    """Copies the originals that the ledger keeps into unique_images.

    Args:
        root: The dataset's folder, which holds Facial_emotion_images.
        rows: The ledger's rows, judged.
    """
    targets = {row.path: row.path for row in rows if row.fate == ledger.KEPT}
    _fill(root, root / UNIQUE, [""], rows, targets)


def _fill(
    root: Path,
    folder: Path,
    parts: Sequence[str],
    rows: Sequence[Row],
    targets: Mapping[str, str],
) -> None:
    """Fills a folder with copies of originals, and goes on where a killed process stopped.

    Args:
        root: The dataset's folder.
        folder: The folder.
        parts: Its parts. Each gets a folder for every split, also for one without images, and
            every class.
        rows: Rows of all originals.
        targets: Path below `folder` of each copy, by the path of the original.
    """
    sha256 = {row.path: row.sha256 for row in rows}
    content = "".join(f"{sha256[path]} {target}\n" for path, target in sorted(targets.items()))
    key = hashlib.sha256(content.encode(errors="surrogateescape")).hexdigest()[:16]
    with staging.folder(folder, key) as partial:
        for part in parts:
            for split in SPLITS:
                for label in ledger.list_classes(rows):
                    (partial / f"{part}{split}" / label).mkdir(parents=True, exist_ok=True)
        for path, target in tqdm(targets.items(), "copy", disable=None, unit="file"):
            staging.copy_file(root / archive.FOLDER / path, partial, target)
