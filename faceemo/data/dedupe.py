"""The folder of unique images: what the ledger keeps."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from faceemo import staging
from faceemo.config import SPLITS
from faceemo.data import archive, ledger
from faceemo.data.ledger import Row

FOLDER = "unique_images"


def fill(root: Path, rows: Sequence[Row]) -> None:
    """Copies the originals that are kept into unique_images, byte for byte.

    Args:
        root: the folder with Facial_emotion_images.
        rows: judged.
    """
    with staging.folder(root / FOLDER) as partial:
        for split in SPLITS:
            for label in ledger.classes(rows):
                (partial / split / label).mkdir(parents=True)
        for row in tqdm(rows, "copy", disable=None):
            if row.fate == ledger.KEPT:
                shutil.copyfile(root / archive.FOLDER / row.path, partial / row.path)
