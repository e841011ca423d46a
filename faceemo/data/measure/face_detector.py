"""Face screening: which images show a face that a detector finds.

The detector is OpenCV's res10 SSD, used as the original project did: the image as
BGR, resized to 300x300, minus the mean colour, a face where the best confidence exceeds the
threshold. The order of the work is ours: each distinct content once, a few images per forward
pass, one network per core. At 300 pixels the confidences are bit for bit those of one image at a
time.

Most faces need no 300 pixels. Where the network is all but certain at a smaller side, that settles
it; only the others go on to the next side. `_FIRST` was chosen so that on the real set (18,794
distinct images, 123 without a face) every fate at the threshold 0.5 is that of 300 pixels: of the
images settled so the least confident at 300 pixels has 0.551. `Detector(exact=True)` does without.
"""

import contextlib
import dataclasses
import os
import queue
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from faceemo.assets import catalogue

SIDE = 300  # pixels: the network's input, by its deploy.prototxt
_MEAN = (104.0, 177.0, 123.0)  # BGR, that it was trained with
# Sides that are tried before, and the confidence that settles an image there. The most convincing
# image without a face reaches 0.9813, 0.9807 and 0.9573.
_FIRST = {52: 0.989, 120: 0.989, 192: 0.975}
FIRST_AGREES_TO = 0.5  # the highest threshold for which that was found to give the same fates
# Images per forward pass. Measured on two cores at 300: 2 to 8 are equally fast, 32 a fifth slower.
_BATCH = 4


Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


@dataclasses.dataclass(frozen=True)
class Detection:
    """The best detection in one image."""

    confidence: float  # 0..1; 0 if there is none
    box: Box | None
    side: int = SIDE  # at which the network saw the image, pixels


class Detector:
    """The res10 network, once per core and side.

    Args:
        workers: threads that may call `look` at the same time, each with its own networks.
        exact: whether every image is seen at 300 pixels, none settled before.

    Raises:
        UserError: if the network's files cannot be had.
    """

    def __init__(self, workers: int | None = None, *, exact: bool = False):
        self.workers = workers or os.cpu_count() or 1
        self._sides = {SIDE: 0.0} if exact else _FIRST | {SIDE: 0.0}
        files = network_files()
        # one for each side: OpenCV sets a network up anew whenever the size of its input changes
        self._networks: queue.SimpleQueue[dict[int, cv2.dnn.Net]] = queue.SimpleQueue()
        for _ in range(self.workers):
            self._networks.put({side: cv2.dnn.readNetFromCaffe(*files) for side in self._sides})

    def look(self, images: Sequence[np.ndarray]) -> list[Detection]:
        """The best detection in each image, uint8 [H, W, BGR]; any number of threads may call."""
        found: dict[int, Detection] = {}
        networks = self._networks.get()
        try:
            for side, enough in self._sides.items():
                left = [index for index in range(len(images)) if index not in found]
                for start in range(0, len(left), _BATCH):
                    some = left[start : start + _BATCH]
                    best = _forward(networks[side], [images[index] for index in some], side)
                    found |= {
                        index: one
                        for index, one in zip(some, best, strict=True)
                        if one.confidence > enough or side == SIDE
                    }
        finally:
            self._networks.put(networks)
        return [found[index] for index in range(len(images))]


def name(exact: bool) -> str:
    """Of the detector, as records have it: another name finds other confidences."""
    if exact:
        return "res10_300x300_ssd"
    return "res10_ssd " + ", ".join(f"{side} px above {enough}" for side, enough in _FIRST.items())


def network_files() -> tuple[np.ndarray, np.ndarray]:
    """Description and weights of the network, as `cv2.dnn.readNetFromCaffe` takes them.

    Raises:
        UserError: if they cannot be had.
    """
    # arrays, because OpenCV takes plain bytes for a file's name
    prototxt = _with_boxes_in_place(catalogue.fetch("res10.prototxt").read_bytes())
    weights = np.fromfile(catalogue.fetch("res10.caffemodel"), np.uint8)
    return np.frombuffer(prototxt, np.uint8), weights


def forward(
    network: cv2.dnn.Net, images: Sequence[np.ndarray], size: tuple[int, int]
) -> Iterator[tuple[int, float, Box]]:
    """Every detection in some images, uint8 [H, W, BGR], seen at a size: width and height.

    Yields:
        which image, the confidence, and the box in the image's own pixels.
    """
    scaled = [cv2.resize(image, size) for image in images]
    network.setInput(cv2.dnn.blobFromImages(scaled, 1.0, size, _MEAN))
    detections = network.forward()  # [1, 1, N, (image, class, confidence, box)]
    for image, _, confidence, *corners in detections[0, 0]:
        index = int(image)  # -1 where nothing at all is found
        if index >= 0:
            height, width = images[index].shape[:2]
            edges = np.array(corners) * (width, height, width, height)
            left, top, right, bottom = (round(float(edge), 2) for edge in edges)
            # the shortest decimal that gives the same float32: exact, and short in the ledger
            yield index, float(str(confidence)), (left, top, right, bottom)


def _forward(network: cv2.dnn.Net, images: Sequence[np.ndarray], side: int) -> list[Detection]:
    """The best detection in each image, seen at one side."""
    best = [Detection(0.0, None, side)] * len(images)
    for index, confidence, box in forward(network, images, (side, side)):
        if confidence > best[index].confidence:
            best[index] = Detection(confidence, box, side)
    return best


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
