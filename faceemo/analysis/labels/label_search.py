"""Searches a prepared dataset for suspect labels; writes scores into the ledger, and a page.

The search leaves no image out.
"""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from faceemo import staging
from faceemo.analysis.labels import hog, judges, suspects, suspects_page
from faceemo.analysis.labels.embeddings import FrozenBackbone
from faceemo.config import SCREENS, ImageFormat
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import face_detector
from faceemo.data.measure.decode import read_image
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from faceemo.errors import UserError


def find(
    root: Path,
    seed: int,
    *,
    backbone: FrozenBackbone | None = None,
    folds: int = suspects.FOLDS,
    include_test: bool = False,
) -> Path:
    """Scores every label, writes score and predicted label into the ledger, and writes the page.

    Args:
        root: Folder of a prepared dataset.
        seed: Seed of the folds.
        backbone: A backbone whose features judge the images whose labels it has not learned;
            oriented gradients judge the others, and all of them if it is None.
        folds: Number of folds.
        include_test: Whether images of test are judged and shown, too.

    Returns:
        The path of the page.

    Raises:
        UserError: If the images are not screened yet, or are too few.
    """
    started = time.monotonic()
    with staging.locked(root):
        rows = ledger.read(root)
        open_rows = [row for row in rows if include_test or row.split != "test"]
        judged = select_judgeable(open_rows)
        form = backbone.form if backbone else ImageFormat(hog.SIDE)
        images = _read(root / archive.FOLDER, judged, form)
        verdict, found = judges.judge(judged, images, backbone, seed, folds)
        rows = suspects.add_scores(rows, judged, verdict)
        ledger.write(root, rows)
        page = suspects_page.write(root, rows, judged, verdict, found, folds)
    for judge in found:
        print(f"judge   {judge.describe()}")
    kept = sum(judged[index].fate == ledger.KEPT for index in verdict.suspects)
    print(
        f"labels: {len(judged):,} judged in {folds} folds; {len(verdict.suspects):,} suspects, "
        f"{kept:,} of them kept; {time.monotonic() - started:.0f} s; nothing is left out; scores "
        f"are in {root / ledger.NAME}"
    )
    return page


def leave_out(root: Path, below: float) -> None:
    """Leaves out train images whose label scores lower than `below`.

    All other rules of the preparation stay as they were; 0 takes the suspects back in.

    Args:
        root: Folder of a prepared dataset whose labels have scores.
        below: Threshold of the label's probability, from 0 to below 1.

    Raises:
        UserError: If `below` is outside its range, or the dataset is not prepared yet.
    """
    path = root / prepare.RECORD
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if "dedupe" not in record:
        raise UserError(
            expected=f"prepared images in {root}, with the record of their rules",
            found="none",
            fix="run faceemo prepare",
        )
    inputs = record["dedupe"]["inputs"]
    rules = dataclasses.replace(Rules(**inputs["rules"]), suspect_below=below)
    prepare.prepare(
        root,
        rules,
        screen=inputs.get("screen", SCREENS[0]),
        exact=inputs["detector"] == face_detector.detector_name(True),
    )


def select_judgeable(rows: list[Row]) -> list[Row]:
    """Selects the rows that show faces.

    Raises:
        UserError: If there are none.
    """
    found = [row for row in rows if row.has_face]
    if not found:
        raise UserError(
            expected="screened images", found="none in the ledger", fix="run faceemo prepare"
        )
    return found


def _read(folder: Path, rows: list[Row], form: ImageFormat) -> np.ndarray:
    """Reads images, uint8 [N, S, S] in grey, or [N, S, S, 3] in colour."""
    images = np.empty((len(rows), *form.shape), np.uint8)
    for index, row in enumerate(tqdm(rows, "read", disable=None)):
        images[index] = read_image(folder / row.path, form)
    return images
