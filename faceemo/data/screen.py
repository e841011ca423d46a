"""Face screening: which images show a face that a detector finds.

The detector is OpenCV's res10 SSD, used exactly as the original project did (SPEC section 2): the
image as BGR, resized to 300x300, minus the mean colour, a face where the best confidence exceeds
the threshold. Only the order of the work is ours: each distinct file once, a few images per
forward pass, one network per core. The confidences are bit for bit those of one image at a time.
"""

import concurrent.futures
import contextlib
import dataclasses
import io
import os
import queue
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import PIL
from PIL import Image
from tqdm import tqdm

from faceemo import assets, staging
from faceemo.config import CLASSES, SPLITS
from faceemo.data import archive, ledger

DETECTOR = "res10_300x300_ssd"
FOLDER = "face_detection"
HIGH = "high_confidence_images"
LOW = "low_confidence_images"

_SIDE = 300  # pixels: the network's input, by its deploy.prototxt
_MEAN = (104.0, 177.0, 123.0)  # BGR, that it was trained with
# Images per forward pass. Measured on two cores: 2 to 8 are equally fast, 32 a fifth slower.
_BATCH = 4


@dataclasses.dataclass(frozen=True)
class Finding:
    """What screening finds out about one file."""

    bytes: int
    mode: str | None = None  # Pillow's name; None, like the size, if not even the header is read
    width: int | None = None
    height: int | None = None
    confidence: float | None = None  # of the best detection, 0..1; None if not decoded
    box: tuple[float, float, float, float] | None = None  # left, top, right, bottom, in pixels
    problem: str = ""  # why the file cannot be decoded


class Detector:
    """The res10 network, once per core.

    Args:
        workers: threads, each with its own network.

    Raises:
        UserError: if the network's files cannot be had.
    """

    def __init__(self, workers: int | None = None):
        self.workers = workers or os.cpu_count() or 1
        # arrays, because OpenCV takes plain bytes for a file's name
        weights = np.fromfile(assets.fetch("res10.caffemodel"), np.uint8)
        architecture = np.frombuffer(
            _with_boxes_in_place(assets.fetch("res10.prototxt").read_bytes()), np.uint8
        )
        self._networks: queue.SimpleQueue[cv2.dnn.Net] = queue.SimpleQueue()
        for _ in range(self.workers):
            self._networks.put(cv2.dnn.readNetFromCaffe(architecture, weights))

    def find(self, files: Sequence[Path]) -> list[Finding]:
        """Reads `files` and looks for a face in each, with progress; results in their order."""
        batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
        findings: list[Finding] = []
        pool = concurrent.futures.ThreadPoolExecutor(self.workers)
        with _one_opencv_thread(), tqdm(total=len(files), desc="faces", disable=None) as bar:
            try:
                for found in pool.map(self._find_batch, batches):
                    findings += found
                    bar.update(len(found))
            finally:
                # without this, Ctrl-C would wait for all batches
                pool.shutdown(cancel_futures=True)
        return findings

    def _find_batch(self, files: Sequence[Path]) -> list[Finding]:
        findings, scaled, sizes = [], [], []
        for file in files:
            finding, bgr = _read(file)
            findings.append(finding)
            if bgr is not None:
                scaled.append(cv2.resize(bgr, (_SIDE, _SIDE)))
                sizes.append(bgr.shape[1::-1])
        best = iter(self._forward(scaled, sizes))
        return [
            finding if finding.problem else dataclasses.replace(finding, **next(best))
            for finding in findings
        ]

    def _forward(self, scaled: list[np.ndarray], sizes: list[tuple[int, int]]) -> list[dict]:
        """The best detection in each image: its confidence and box."""
        best: list[dict] = [{"confidence": 0.0, "box": None} for _ in scaled]
        if not scaled:
            return best
        blob = cv2.dnn.blobFromImages(scaled, 1.0, (_SIDE, _SIDE), _MEAN)
        network = self._networks.get()
        try:
            network.setInput(blob)
            detections = network.forward()  # [1, 1, N, (image, class, confidence, box)]
        finally:
            self._networks.put(network)
        for image, _, confidence, *corners in detections[0, 0]:
            index = int(image)  # -1 where nothing at all is found
            # the shortest decimal that gives the same float32: exact, and short in the ledger
            confidence = float(str(confidence))
            if index >= 0 and confidence > best[index]["confidence"]:
                width, height = sizes[index]
                box = np.array(corners) * (width, height, width, height)
                best[index] = {
                    "confidence": confidence,
                    "box": tuple(round(float(edge), 2) for edge in box),
                }
        return best


def screen(
    root: Path, images: Mapping[str, str], threshold: float, detector: Detector
) -> list[ledger.Row]:
    """Copies every image into face_detection, under high or low confidence, and books it.

    Images that cannot be decoded are copied to neither. All splits are screened alike, the test
    split too, as in the original; the ledger says which images that costs.

    Args:
        root: the folder with Facial_emotion_images.
        images: path below that folder -> sha256, as `archive.originals` gives them.
        threshold: a face counts where the confidence is above it, 0..1.
        detector: the network.

    Returns:
        A row per image, in the order of `images`, with fate kept, no_face or unreadable.
    """
    originals = root / archive.FOLDER
    first = {}  # one path per distinct content
    for path, sha256 in images.items():
        first.setdefault(sha256, path)
    findings = detector.find([originals / path for path in first.values()])
    by_content = dict(zip(first, findings, strict=True))
    rows = [_row(path, sha256, by_content[sha256], threshold) for path, sha256 in images.items()]
    with staging.folder(root / FOLDER) as partial:
        for confidence in (HIGH, LOW):
            for split in SPLITS:
                for label in CLASSES:
                    (partial / confidence / split / label).mkdir(parents=True)
        for row in tqdm(rows, "copy", disable=None):
            if row.fate != ledger.UNREADABLE:
                confidence = HIGH if row.has_face else LOW
                shutil.copyfile(originals / row.path, partial / confidence / row.path)
    return rows


def _row(path: str, sha256: str, finding: Finding, threshold: float) -> ledger.Row:
    split, label, _ = path.split("/")
    if finding.confidence is None:
        fate, reason = ledger.UNREADABLE, finding.problem
    elif finding.confidence > threshold:
        fate, reason = ledger.KEPT, ""
    else:
        fate = ledger.NO_FACE
        reason = f"best face confidence {finding.confidence:.3f}, not above {threshold:g}"
    return ledger.Row(
        path=path,
        sha256=sha256,
        bytes=finding.bytes,
        mode=finding.mode,
        width=finding.width,
        height=finding.height,
        split=split,
        label=label,
        face_confidence=finding.confidence,
        face_box=finding.box,
        has_face=fate == ledger.KEPT,
        fate=fate,
        reason=reason,
    )


def _read(file: Path) -> tuple[Finding, np.ndarray | None]:
    """The facts about a file, and its pixels as the detector wants them: uint8 [H, W, BGR].

    OpenCV decodes, as it did in the original. But its `imread` fills what a truncated JPEG lacks
    with grey and says nothing, so Pillow, which does complain, reads every file first.
    """
    content = file.read_bytes()
    finding = Finding(bytes=len(content))
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            finding = dataclasses.replace(finding, mode=image.mode, width=width, height=height)
            image.load()
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        problem = "a format that OpenCV does not read" if bgr is None else ""
    except PIL.UnidentifiedImageError:
        bgr, problem = None, "not an image file"  # Pillow's own message holds a memory address
    except Exception as error:  # decoders raise anything on damaged input
        bgr, problem = None, f"{type(error).__name__}: {error}"
    return dataclasses.replace(finding, problem=problem), bgr


def _with_boxes_in_place(prototxt: bytes) -> bytes:
    """The network's description with the default boxes of its last two layers where they belong.

    As published it says that these layers step over the image by 100 and 300 pixels. But their
    maps are 5x5, so the step is 60, and most of their boxes, faces that fill the image among
    them, come out far beside the image. Only boxes change: the best confidence, which decides,
    is the same with either, because suppression of overlaps never removes the best.
    """
    for wrong in (b"step: 100", b"step: 300"):
        if prototxt.count(wrong) != 1:
            raise ValueError(f"expected one '{wrong.decode()}' in res10's prototxt")
        prototxt = prototxt.replace(wrong, b"step: 60")
    return prototxt


@contextlib.contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """One network per core and no threads within is faster than the other way round (52:47)."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
