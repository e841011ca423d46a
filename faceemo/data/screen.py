"""Face screening: which images show a face that a detector finds.

The detector is OpenCV's res10 SSD, used as the original project did (SPEC section 2): the image as
BGR, resized to 300x300, minus the mean colour, a face where the best confidence exceeds the
threshold. The order of the work is ours: each distinct content once, a few images per forward
pass, one network per core. The confidences are bit for bit those of one image at a time.
"""

import contextlib
import dataclasses
import os
import queue
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from faceemo import assets, staging
from faceemo.config import SPLITS
from faceemo.data import archive, ledger
from faceemo.data.ledger import Row

DETECTOR = "res10_300x300_ssd"
FOLDER = "face_detection"
HIGH = "high_confidence_images"
LOW = "low_confidence_images"

SIDE = 300  # pixels: the network's input, by its deploy.prototxt
_MEAN = (104.0, 177.0, 123.0)  # BGR, that it was trained with
# Images per forward pass. Measured on two cores: 2 to 8 are equally fast, 32 a fifth slower.
_BATCH = 4


@dataclasses.dataclass(frozen=True)
class Detection:
    """The best detection in one image."""

    confidence: float  # 0..1; 0 if there is none
    box: tuple[float, float, float, float] | None  # left, top, right, bottom, in pixels
    side: int = SIDE  # at which the network saw the image, pixels


class Detector:
    """The res10 network, once per core.

    Args:
        workers: threads that may call `look` at the same time, each with its own network.

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

    def look(self, images: Sequence[np.ndarray]) -> list[Detection]:
        """The best detection in each image, uint8 [H, W, BGR]; any number of threads may call."""
        found: list[Detection] = []
        for start in range(0, len(images), _BATCH):
            found += self._forward(images[start : start + _BATCH])
        return found

    def _forward(self, images: Sequence[np.ndarray]) -> list[Detection]:
        best = [Detection(0.0, None)] * len(images)
        scaled = [cv2.resize(image, (SIDE, SIDE)) for image in images]
        blob = cv2.dnn.blobFromImages(scaled, 1.0, (SIDE, SIDE), _MEAN)
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
            if index >= 0 and confidence > best[index].confidence:
                height, width = images[index].shape[:2]
                edges = np.array(corners) * (width, height, width, height)
                left, top, right, bottom = (round(float(edge), 2) for edge in edges)
                best[index] = Detection(confidence, (left, top, right, bottom))
        return best


def fill(root: Path, rows: Sequence[Row]) -> None:
    """Copies the originals into face_detection, under high or low confidence.

    Images that cannot be decoded are copied to neither. All splits are sorted alike, the test
    split too, as in the original.

    Args:
        root: the folder with Facial_emotion_images.
        rows: judged.
    """
    with staging.folder(root / FOLDER) as partial:
        for confidence in (HIGH, LOW):
            for split in SPLITS:
                for label in ledger.classes(rows):
                    (partial / confidence / split / label).mkdir(parents=True)
        for row in tqdm(rows, "copy", disable=None):
            if not row.problem:
                confidence = HIGH if row.has_face else LOW
                shutil.copyfile(root / archive.FOLDER / row.path, partial / confidence / row.path)


@contextlib.contextmanager
def one_opencv_thread() -> Iterator[None]:
    """One network per core and no threads within is faster than the other way round (52:47)."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


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
