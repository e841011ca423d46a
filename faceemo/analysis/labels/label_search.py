"""The search for suspect labels in a prepared dataset: ledger in, scores in the ledger and a page.

Nothing is left out by it. A model that has learnt the labels of some images cannot say anything
about those labels: images that a trained backbone has seen are not judged with it.
"""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from faceemo import staging
from faceemo.analysis.labels import embeddings, hog, suspects, suspects_page
from faceemo.analysis.labels.embeddings import Source
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import face_detector
from faceemo.data.measure.decode import read_grey
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from faceemo.errors import UserError


def find(
    root: Path, seed: int, *, source: Source | None = None, folds: int = suspects.FOLDS
) -> Path:
    """Scores every label, books score and predicted label, writes the page; returns its path.

    Args:
        root: folder of a prepared dataset.
        seed: of the folds.
        source: a backbone that judges along with the images' edges; with one that was trained on
            labels, train images are not judged.
        folds: how many.

    Raises:
        UserError: if the images are not screened yet, or are too few.
    """
    started = time.monotonic()
    with staging.locked(root):
        rows = ledger.read(root)
        judged = judgeable(rows, source)
        images = _read(root / archive.FOLDER, judged, source.native_size if source else hog.SIDE)
        found = [hog.describe(images)]
        about = "oriented gradients"
        if source:
            found.append(embeddings.extract(source, images))
            about += f" and {source.about}"
        labels = [row.label for row in judged]
        verdict = suspects.judge(found, labels, suspects.groups_of(judged), seed, folds)
        rows = suspects.booked(rows, judged, verdict)
        ledger.write(root, rows)
        page = suspects_page.write(root, rows, judged, verdict, about, folds)
    kept = sum(judged[index].fate == ledger.KEPT for index in verdict.suspects)
    print(
        f"labels: {len(judged):,} judged by {about}, {folds} folds, which agree with "
        f"{verdict.accuracy:.1%} of them; {len(verdict.suspects):,} suspects, {kept:,} of them "
        f"kept; {time.monotonic() - started:.0f} s; nothing is left out; scores in "
        f"{root / ledger.NAME}"
    )
    return page


def leave_out(root: Path, below: float) -> None:
    """Judges the images anew: train images whose label scores lower than `below` are left out.

    All other rules stay as they were; 0 takes the suspects back in.

    Args:
        root: folder of a prepared dataset whose labels have scores.
        below: probability, 0 to below 1.

    Raises:
        UserError: if `below` is outside its range, or the duplicates were not searched for yet.
    """
    path = root / prepare.RECORD
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if "dedupe" not in record:
        raise UserError(
            expected=f"prepared images in {root}, so that it is known by which rules",
            found="none",
            fix="run scripts/remove_duplicates.py",
        )
    inputs = record["dedupe"]["inputs"]
    rules = dataclasses.replace(Rules(**inputs["rules"]), suspect_below=below)
    prepare.prepare(root, rules, exact=inputs["detector"] == face_detector.detector_name(True))


def judgeable(rows: list[Row], source: Source | None = None) -> list[Row]:
    """The rows whose labels `source` can judge: of faces, and not what it was trained on.

    Raises:
        UserError: if there are none.
    """
    learnt = source is not None and source.saw_labels
    found = [row for row in rows if row.has_face and not (learnt and row.split == "train")]
    if not found:
        raise UserError(
            expected="screened images" + (" outside train" if learnt else ""),
            found="none in the ledger",
            fix="run scripts/remove_duplicates.py" + (", or leave --workdir out" if learnt else ""),
        )
    return found


def _read(folder: Path, rows: list[Row], side: int) -> np.ndarray:
    """Grey images, uint8 [N, side, side]."""
    images = np.empty((len(rows), side, side), np.uint8)
    for index, row in enumerate(tqdm(rows, "read", disable=None)):
        images[index] = read_grey(folder / row.path, side)
    return images
