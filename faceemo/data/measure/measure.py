"""Measurements of image files, made once per content and kept across runs.

Every measurement is written to root/measured.jsonl as soon as it is made, under the sha256 of the
file. So nothing is measured twice: not after a kill, not under another name, not when the zip has
changed around it.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from faceemo import staging
from faceemo.data.measure import face_detector, hashing
from faceemo.data.measure.boxes import Box, Detection
from faceemo.data.measure.decode import Decoded, Pixels, decode

NAME = "measured.jsonl"
NAME_EXACT = "measured_exact.jsonl"
VERSION = 2  # change it when the same file gives another measurement
# Files between two updates of the progress bar, which are also lost by a kill: a second's work.
_BATCH_SIZE = 32
_GREY_LEVELS = 32  # for `compute_blankness`: the noise of a JPEG stays within one of them


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """The measured fields of a `ledger.Row`, described there."""

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


class Store:
    """The file of all measurements, by the sha256 of the measured file.

    Args:
        root: The dataset's folder.
        exact: Whether the detector sees every image at 300 pixels; such measurements are kept in
            a file of their own.

    Attributes:
        path: root/measured.jsonl, or root/measured_exact.jsonl.
        measurements: Measurement of each file, by its sha256.
    """

    def __init__(self, root: Path, *, exact: bool = False):
        self.path = root / (NAME_EXACT if exact else NAME)
        # another release of OpenCV may compute other last digits
        made_by = {
            "version": VERSION,
            "detector": face_detector.detector_name(exact),
            "opencv": cv2.__version__,
        }
        self._head = json.dumps(made_by) + "\n"
        self._text = ""
        if self.path.is_file():
            self._text = self.path.read_text(encoding="ascii", errors="replace")
        self._has_head = self._text.startswith(self._head)
        self.measurements = dict(_parse(self._text.splitlines())) if self._has_head else {}
        if exact:
            self.measurements |= {
                sha256: measurement
                for sha256, measurement in Store(root).measurements.items()
                if measurement.face_side == face_detector.SIDE or measurement.problem
            }

    def add(self, measurements: Mapping[str, Measurement]) -> None:
        """Adds measurements and appends them to the file; a kill may cut off the last line."""
        if not self._has_head:
            with staging.file(self.path) as partial:
                partial.write_text(self._head, encoding="ascii")
            self._has_head = True
        self.measurements |= measurements
        with self.path.open("a", encoding="ascii") as lines:
            # the line break ends a line that a kill cut off
            lines.write("\n" + "".join(_format(measurements)))

    def tidy(self) -> None:
        """Sorts the file, so that its bytes do not depend on the order of the measurements."""
        text = self._head + "".join(_format(self.measurements))
        if self.measurements and text != self._text:
            with staging.file(self.path) as partial:
                partial.write_text(text, encoding="ascii")
            self._text = text


def measure_missing(
    originals: Path, images: Mapping[str, str], store: Store, detector: face_detector.Detector
) -> None:
    """Measures every content that `store` lacks and adds it there, with a progress bar.

    Args:
        originals: Folder of the images.
        images: sha256 of each image, by its path below `originals`.
        store: Store to which measurements are added as they are made.
        detector: Face detector.
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

    pool = concurrent.futures.ThreadPoolExecutor(detector.workers)
    with (
        face_detector.one_opencv_thread(),
        tqdm(total=len(missing), desc="faces", disable=None) as bar,
    ):
        try:
            for measurements in pool.map(measure_batch, batches):
                store.add(measurements)
                bar.update(len(measurements))
        finally:
            # without this, Ctrl-C would wait for all batches
            pool.shutdown(cancel_futures=True)


def measure_files(contents: Iterable[bytes], detector: face_detector.Detector) -> list[Measurement]:
    """Measures image files, given as their bytes; one that cannot be decoded has a `problem`."""
    files = [decode(content) for content in contents]
    pixels = [file.pixels for file in files if file.pixels]
    found = zip(
        pixels,
        hashing.dhash([image.grey for image in pixels]).tolist(),
        hashing.dhash([image.grey[:, ::-1] for image in pixels]).tolist(),
        detector.detect([image.bgr for image in pixels]),
        strict=True,
    )
    return [
        _from_pixels(file, *next(found)) if file.pixels else _from_header(file) for file in files
    ]


def _from_header(file: Decoded) -> Measurement:
    names = ("bytes", "mode", "width", "height", "problem")
    return Measurement(**{name: getattr(file, name) for name in names})


def _from_pixels(
    file: Decoded, pixels: Pixels, dhash: int, mirrored: int, face: Detection
) -> Measurement:
    return dataclasses.replace(
        _from_header(file),
        pixels_sha256=hash_pixels(pixels.grey),
        blank=compute_blankness(pixels.grey),
        face_confidence=face.confidence,
        face_box=face.box,
        face_side=face.side,
        dhash=hashing.to_hex(dhash),
        dhash_mirrored=hashing.to_hex(mirrored),
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
        yield json.dumps({"sha256": sha256} | vars(measurements[sha256]), allow_nan=False) + "\n"


def _parse(lines: list[str]) -> Iterator[tuple[str, Measurement]]:
    """Yields sha256 and measurement of every whole line after the head, and skips cut-off ones."""
    for line in lines[1:]:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        box = fields.pop("face_box")
        yield fields.pop("sha256"), Measurement(**fields, face_box=tuple(box) if box else None)
