"""What can be found out about a file from its content alone, once per content.

Every finding is written to root/measured.jsonl as soon as it is made, under the sha256 of the
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
from faceemo.data.measure.decode import Decoded, Pixels, decode

NAME = "measured.jsonl"
NAME_EXACT = "measured_exact.jsonl"
_VERSION = 1  # change it when the same file gives other facts
_BATCH = 32  # files between two lines of progress, or lost by a kill: a second's work
_LEVELS = 32  # of grey, for `blank`: the noise of a JPEG stays within one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """The measured fields of a `ledger.Row`, see there."""

    bytes: int
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    problem: str = ""
    pixels_sha256: str | None = None
    blank: float | None = None
    face_confidence: float | None = None
    face_box: tuple[float, float, float, float] | None = None
    face_side: int | None = None
    dhash: str | None = None
    dhash_mirrored: str | None = None


class Store:
    """root/measured.jsonl: the facts by the sha256 of the file.

    Args:
        root: folder of the dataset.
        exact: whether all faces are looked for at 300 pixels; such facts have a file of their own.
    """

    def __init__(self, root: Path, *, exact: bool = False):
        self._path = root / (NAME_EXACT if exact else NAME)
        # another release of OpenCV may compute other last digits
        by = {"version": _VERSION, "detector": face_detector.name(exact), "opencv": cv2.__version__}
        self._head = json.dumps(by) + "\n"
        self._text = ""
        if self._path.is_file():
            self._text = self._path.read_text(encoding="ascii", errors="replace")
        self._begun = self._text.startswith(self._head)
        self.facts = dict(_read(self._text.splitlines())) if self._begun else {}
        if exact:
            self.facts |= {
                sha256: facts
                for sha256, facts in Store(root).facts.items()
                if facts.face_side == face_detector.SIDE or facts.problem
            }

    def add(self, facts: Mapping[str, Facts]) -> None:
        """Takes facts over and writes them down, whole lines or, if killed, part of the last."""
        if not self._begun:
            with staging.file(self._path) as partial:
                partial.write_text(self._head, encoding="ascii")
            self._begun = True
        self.facts |= facts
        with self._path.open("a", encoding="ascii") as lines:
            # after a line that a kill cut off, this ends it
            lines.write("\n" + "".join(_lines(facts)))

    def tidy(self) -> None:
        """Sorts the file: its bytes depend on what was measured, not on when."""
        text = self._head + "".join(_lines(self.facts))
        if self.facts and text != self._text:
            with staging.file(self._path) as partial:
                partial.write_text(text, encoding="ascii")
            self._text = text


def measure(
    originals: Path, images: Mapping[str, str], store: Store, detector: face_detector.Detector
) -> None:
    """Measures every content that `store` lacks, with progress.

    Args:
        originals: folder of the images.
        images: path below it -> sha256.
        store: takes the facts as they are found.
        detector: of faces.
    """
    first: dict[str, str] = {}  # one path per content
    for path, sha256 in images.items():
        if sha256 not in store.facts:
            first.setdefault(sha256, path)
    todo = list(first)
    batches = [todo[start : start + _BATCH] for start in range(0, len(todo), _BATCH)]

    def facts_of(batch: list[str]) -> dict[str, Facts]:
        contents = ((originals / first[sha256]).read_bytes() for sha256 in batch)
        return dict(zip(batch, facts(contents, detector), strict=True))

    pool = concurrent.futures.ThreadPoolExecutor(detector.workers)
    with (
        face_detector.one_opencv_thread(),
        tqdm(total=len(todo), desc="faces", disable=None) as bar,
    ):
        try:
            for found in pool.map(facts_of, batches):
                store.add(found)
                bar.update(len(found))
        finally:
            # without this, Ctrl-C would wait for all batches
            pool.shutdown(cancel_futures=True)


def facts(contents: Iterable[bytes], detector: face_detector.Detector) -> list[Facts]:
    """What there is to know about some files."""
    files = [decode(content) for content in contents]
    pixels = [file.pixels for file in files if file.pixels]
    found = zip(
        pixels,
        hashing.dhash([image.plain_grey for image in pixels]).tolist(),
        hashing.dhash([image.plain_grey[:, ::-1] for image in pixels]).tolist(),
        detector.look([image.bgr for image in pixels]),
        strict=True,
    )
    return [_known(file, *next(found)) if file.pixels else _header(file) for file in files]


def _header(file: Decoded) -> Facts:
    names = ("bytes", "mode", "width", "height", "problem")
    return Facts(**{name: getattr(file, name) for name in names})


def _known(
    file: Decoded, pixels: Pixels, dhash: int, mirrored: int, face: face_detector.Detection
) -> Facts:
    return dataclasses.replace(
        _header(file),
        pixels_sha256=pixels_sha256(pixels.grey),
        blank=blank(pixels.grey),
        face_confidence=face.confidence,
        face_box=face.box,
        face_side=face.side,
        dhash=hashing.to_hex(dhash),
        dhash_mirrored=hashing.to_hex(mirrored),
    )


def blank(grey: np.ndarray) -> float:
    """How little there is to see in uint8 [H, W]: 1 for a single grey, 0 if all are as frequent.

    One minus the entropy of the grey levels, taken as 32, over its maximum of 5 bits. Nearly
    all photographs of faces have less than 0.5.
    """
    counts = np.bincount((grey >> 3).ravel(), minlength=_LEVELS)
    shares = counts[counts > 0] / grey.size
    return round(float(1 + (shares * np.log2(shares)).sum() / np.log2(_LEVELS)), 4)


def pixels_sha256(grey: np.ndarray) -> str:
    """Of the size and the pixels uint8 [H, W]."""
    height, width = grey.shape
    return hashlib.sha256(f"{width}x{height}\n".encode() + grey.tobytes()).hexdigest()


def _lines(facts: Mapping[str, Facts]) -> Iterator[str]:
    for sha256 in sorted(facts):
        yield json.dumps({"sha256": sha256} | vars(facts[sha256]), allow_nan=False) + "\n"


def _read(lines: list[str]) -> Iterator[tuple[str, Facts]]:
    """The facts in lines that are whole; what a kill cut off is measured again."""
    for line in lines[1:]:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        box = fields.pop("face_box")
        yield fields.pop("sha256"), Facts(**fields, face_box=tuple(box) if box else None)
