"""The rows of the originals with all that is measured: faces, hashes, and images that are alike."""

import contextlib
import dataclasses
import hashlib
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from faceemo.config import SCREENS
from faceemo.data.ledger import ledger, near
from faceemo.data.ledger.ledger import Row
from faceemo.data.measure import face_detector, measure, thumbnails
from faceemo.data.measure.decode import read_grey
from faceemo.data.source import archive, cut_out, votes_by_path
from faceemo.errors import UserError

SEARCH, BOXES, SKIP = SCREENS


def list_unseen(root: Path, originals: archive.Originals, screen: str) -> frozenset[str]:
    """Returns the paths of the originals that no detector shall see."""
    if screen == SEARCH:
        return frozenset()
    if screen == SKIP:
        return frozenset(originals.images)
    unseen = cut_out.read(root) & originals.images.keys()
    print(
        f"screen: {len(unseen):,} of {len(originals.images):,} images were cut out by boxes of the "
        "source, and count as faces; the detector sees the others"
    )
    return unseen


def digest(paths: Collection[str]) -> str:
    """Computes a sha256 of paths, whatever their order."""
    text = "\n".join(sorted(paths))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def measure_originals(
    root: Path,
    originals: archive.Originals,
    unseen: Collection[str],
    detector: face_detector.Detector | None,
    exact: bool,
    measured_alike: bool,
) -> tuple[list[Row], bool]:
    """Returns the originals' rows with all measurements, and whether they are just the ledger's.

    The ledger's rows are used if exactly these images were `measured_alike`: by this detector and
    this version. Results of a search for suspect labels stay with their images. No detector sees
    the images whose paths are `unseen`.
    """
    voted = votes_by_path.read(root)

    def add_votes(row: Row) -> Row:
        votes, given = voted.counts.get(row.path), voted.given.get(row.path)
        if (row.votes, row.given_label) == (votes, given):
            return row
        return dataclasses.replace(row, votes=votes, given_label=given)

    stored = _read_ledger(root)
    old_rows = [add_votes(row) if row.path in originals.images else row for row in stored]
    if measured_alike and {row.path: row.sha256 for row in old_rows} == originals.images:
        return old_rows, old_rows == stored
    measured = {}
    for paths, faces in (
        ([path for path in originals.images if path not in unseen], True),
        (sorted(unseen), False),
    ):
        if paths:
            images = {path: originals.images[path] for path in paths}
            found = _measure_images(root, originals.folder, images, faces, detector, exact)
            measured |= {path: found[sha256] for path, sha256 in images.items()}
    predicted = {
        (row.path, row.sha256): {
            "label_score": row.label_score,
            "predicted_label": row.predicted_label,
        }
        for row in old_rows
    }
    rows = []
    for path, sha256 in originals.images.items():
        split, label, _ = path.split("/")
        facts = measured[path].to_fields() | predicted.get((path, sha256), {})
        names = {"path": path, "sha256": sha256, "split": sys.intern(split)}
        names |= {"label": sys.intern(label), "fate": ledger.KEPT, "reason": ""}
        rows.append(add_votes(Row(**names, **facts)))
    del measured
    squares = thumbnails.Thumbnails(root / thumbnails.NAME)

    def read(row: Row) -> np.ndarray:
        path = originals.folder / row.path
        return squares.get(row.pixels_sha256 or "", lambda: read_grey(path, near.SIDE))

    with contextlib.closing(squares):
        alike = near.find_likenesses(rows, read)
    for place, row in enumerate(rows):
        if similar := alike.get(row.pixels_sha256 or ""):
            rows[place] = dataclasses.replace(row, similar=similar)
    return rows, False


def _measure_images(
    root: Path,
    folder: Path,
    images: Mapping[str, str],
    faces: bool,
    detector: face_detector.Detector | None,
    exact: bool,
) -> dict[str, measure.Measurement]:
    """Measures images that are not measured yet, with or without faces, and returns all by sha256.

    Args:
        root: The dataset's folder.
        folder: Folder of the images.
        images: sha256 of each image, by its path.
        faces: Whether the detector sees them.
        detector: The detector, if it is there already.
        exact: Whether it sees every image at 300 pixels.
    """
    started = time.monotonic()
    store = measure.Store(root, exact=exact, faces=faces)
    if missing := set(images.values()) - store.measurements.keys():
        detector = (detector or face_detector.Detector(exact=exact)) if faces else None
        measure.measure_missing(folder, images, store, detector)
        spent = time.monotonic() - started
        print(f"measure: {len(missing):,} new files; {spent:.0f} s; in {store.path}")
    store.tidy()
    return store.measurements


def _read_ledger(root: Path) -> list[Row]:
    """Reads the ledger; returns no rows if it is missing or this version cannot read it."""
    try:
        return ledger.read(root)
    except UserError:
        return []  # its measurements are then repeated
