"""Measurements of image files, made once per content and kept across runs.

Every measurement is written to root/measured.jsonl as soon as it is made, under the sha256 of the
file. So nothing is measured twice: not after a kill, not under another name, not when the zip has
changed around it.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from tqdm import tqdm

from faceemo import staging
from faceemo.data.measure import face_detector, hashing
from faceemo.data.measure.boxes import Box, Detection
from faceemo.data.measure.decode import Decoded, Pixels, decode

NAME = "measured.jsonl"
NAME_EXACT = "measured_exact.jsonl"
NAME_PLAIN = "measured_without_faces.jsonl"
VERSION = 2  # change it when the same file gives another measurement
# Files between two updates of the progress bar, which are also lost by a kill: a second's work.
_BATCH_SIZE = 32
_GREY_LEVELS = 32  # for `compute_blankness`: the noise of a JPEG stays within one of them


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The measured fields of a `ledger.Row`, described there.

    The fields of the face are None if the image cannot be decoded, or if no detector has seen it.
    """

    bytes: int
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    problem: str = ""
    pixels_sha256: str | None = None
    blank: float | None = None
    face_confidence: float | None = None
    face_box: Box | None = None
    face_side: int | None = None
    dhash: str | None = None
    dhash_mirrored: str | None = None

    def to_fields(self) -> dict[str, Any]:
        """Returns the value of each field by its name."""
        return {name: getattr(self, name) for name in _FIELDS}

    def without_face(self) -> Self:
        """Returns the measurement as if no detector had seen the image."""
        return dataclasses.replace(self, face_confidence=None, face_box=None, face_side=None)


_FIELDS = tuple(field.name for field in dataclasses.fields(Measurement))


class Store:
    """The file of all measurements, by the sha256 of the measured file.

    Args:
        root: The dataset's folder.
        exact: Whether the detector sees every image at 300 pixels; such measurements are kept in
            a file of their own.
        faces: Whether there are measurements of faces; those without are in a file of their own,
            and are taken from the other two where these have them.

    Attributes:
        path: root/measured.jsonl, or that of the other kinds.
        measurements: Measurement of each file, by its sha256.
    """

    def __init__(self, root: Path, *, exact: bool = False, faces: bool = True):
        self.path = root / ((NAME_EXACT if exact else NAME) if faces else NAME_PLAIN)
        # another release of OpenCV may compute other last digits
        made_by = {
            "version": VERSION,
            "detector": face_detector.detector_name(exact) if faces else None,
            "opencv": cv2.__version__,
        }
        self._head = json.dumps(made_by) + "\n"
        self.measurements: dict[str, Measurement] = {}
        self._has_head = False
        self._is_tidy = self._read()
        if not faces:
            for one in (Store(root), Store(root, exact=True)):
                self._take_over(
                    (sha256, measurement.without_face())
                    for sha256, measurement in one.measurements.items()
                )
        elif exact:
            self._take_over(
                (sha256, measurement)
                for sha256, measurement in Store(root).measurements.items()
                if measurement.face_side == face_detector.SIDE or measurement.problem
            )

    def _read(self) -> bool:
        """Reads the file, line by line; returns whether it holds nothing but sorted lines."""
        if not self.path.is_file():
            return False
        with self.path.open(encoding="ascii", errors="replace") as lines:
            self._has_head = next(lines, "") == self._head
            if not self._has_head:
                return False
            is_tidy, last = True, ""
            for line in lines:
                parsed = _parse(line)
                is_tidy &= parsed is not None and last < parsed[0]
                if parsed:
                    last, self.measurements[last] = parsed[0], parsed[1]
        return is_tidy

    def _take_over(self, measurements: Iterable[tuple[str, Measurement]]) -> None:
        """Adds measurements of other files, of which this one may have none."""
        for sha256, measurement in measurements:
            if sha256 not in self.measurements:
                self.measurements[sha256] = measurement
                self._is_tidy = False

    def add(self, measurements: Mapping[str, Measurement]) -> None:
        """Adds measurements and appends them to the file; a kill may cut off the last line."""
        if not self._has_head:
            with staging.file(self.path) as partial:
                partial.write_text(self._head, encoding="ascii")
            self._has_head = True
        self.measurements |= measurements
        self._is_tidy = False
        with self.path.open("a", encoding="ascii") as lines:
            # the line break ends a line that a kill cut off
            lines.write("\n" + "".join(_format(measurements)))

    def tidy(self) -> None:
        """Sorts the file, so that its bytes do not depend on the order of the measurements."""
        if self.measurements and not self._is_tidy:
            with staging.file(self.path) as partial, partial.open("w", encoding="ascii") as lines:
                lines.write(self._head)
                lines.writelines(_format(self.measurements))
            self._is_tidy = True


def measure_missing(
    originals: Path,
    images: Mapping[str, str],
    store: Store,
    detector: face_detector.Detector | None,
) -> None:
    """Measures every content that `store` lacks and adds it there, with a progress bar.

    Args:
        originals: Folder of the images.
        images: sha256 of each image, by its path below `originals`.
        store: Store to which measurements are added as they are made.
        detector: Face detector; None measures no faces.
    """
    path_of: dict[str, str] = {}  # one path per content
    for path, sha256 in images.items():
        if sha256 not in store.measurements:
            path_of.setdefault(sha256, path)
    missing = list(path_of)
    batches = [
        missing[start : start + _BATCH_SIZE] for start in range(0, len(missing), _BATCH_SIZE)
    ]

    def measure_batch(batch: list[str]) -> dict[str, Measurement]:
        contents = ((originals / path_of[sha256]).read_bytes() for sha256 in batch)
        return dict(zip(batch, measure_files(contents, detector), strict=True))

    pool = concurrent.futures.ThreadPoolExecutor(detector.workers if detector else os.cpu_count())
    with (
        face_detector.one_opencv_thread(),
        tqdm(total=len(missing), desc="faces" if detector else "measure", disable=None) as bar,
    ):
        try:
            for measurements in pool.map(measure_batch, batches):
                store.add(measurements)
                bar.update(len(measurements))
        finally:
            # without this, Ctrl-C would wait for all batches
            pool.shutdown(cancel_futures=True)


def measure_files(
    contents: Iterable[bytes], detector: face_detector.Detector | None
) -> list[Measurement]:
    """Measures image files, given as their bytes; one that cannot be decoded has a `problem`."""
    return measure_decoded([decode(content) for content in contents], detector)


def measure_decoded(
    files: Sequence[Decoded], detector: face_detector.Detector | None
) -> list[Measurement]:
    """Measures decoded images.

    Args:
        files: The images.
        detector: Face detector; None measures no faces.
    """
    pixels = [file.pixels for file in files if file.pixels]
    images = [image.bgr for image in pixels]
    found = zip(
        pixels,
        hashing.dhash([image.grey for image in pixels]).tolist(),
        hashing.dhash([image.grey[:, ::-1] for image in pixels]).tolist(),
        detector.detect(images) if detector else [None] * len(images),
        strict=True,
    )
    return [
        _from_pixels(file, *next(found)) if file.pixels else _from_header(file) for file in files
    ]


def _from_header(file: Decoded) -> Measurement:
    names = ("bytes", "mode", "width", "height", "problem")
    return Measurement(**{name: getattr(file, name) for name in names})


def _from_pixels(
    file: Decoded, pixels: Pixels, dhash: int, mirrored: int, face: Detection | None
) -> Measurement:
    measured = dataclasses.replace(
        _from_header(file),
        pixels_sha256=hash_pixels(pixels.grey),
        blank=compute_blankness(pixels.grey),
        dhash=hashing.to_hex(dhash),
        dhash_mirrored=hashing.to_hex(mirrored),
    )
    if face is None:
        return measured
    return dataclasses.replace(
        measured, face_confidence=face.confidence, face_box=face.box, face_side=face.side
    )


def compute_blankness(grey: np.ndarray) -> float:
    """Computes how little uint8 [H, W] shows: 1 for a single grey, 0 if all greys are as frequent.

    It is one minus the entropy of the grey levels, taken as 32, over its maximum of 5 bits. Nearly
    all photographs of faces have less than 0.5.
    """
    counts = np.bincount((grey >> 3).ravel(), minlength=_GREY_LEVELS)
    shares = counts[counts > 0] / grey.size
    return round(float(1 + (shares * np.log2(shares)).sum() / np.log2(_GREY_LEVELS)), 4)


def hash_pixels(grey: np.ndarray) -> str:
    """Returns the hexadecimal sha256 of the size and the pixels of uint8 [H, W]."""
    height, width = grey.shape
    return hashlib.sha256(f"{width}x{height}\n".encode() + grey.tobytes()).hexdigest()


def _format(measurements: Mapping[str, Measurement]) -> Iterator[str]:
    """Yields one line of JSON per measurement, in order of sha256."""
    for sha256 in sorted(measurements):
        fields = {"sha256": sha256} | measurements[sha256].to_fields()
        yield json.dumps(fields, allow_nan=False) + "\n"


def _parse(line: str) -> tuple[str, Measurement] | None:
    """Returns sha256 and measurement of a line; None if it was cut off."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    box = fields.pop("face_box")
    if fields["mode"]:
        fields["mode"] = sys.intern(fields["mode"])
    return fields.pop("sha256"), Measurement(**fields, face_box=tuple(box) if box else None)
