"""The most confident face in each image, found by OpenCV's res10 SSD.

The network is used as in the original project: it is given the image as BGR, resized to 300x300,
minus the mean colour; an image shows a face if the best confidence exceeds a threshold. Unlike
there, images are processed in small batches, with one network per worker and side. At 300 pixels
the confidences equal those of one image at a time bit for bit.

Most faces need fewer than 300 pixels, so the detector is a cascade: an image whose confidence at a
smaller side exceeds the limit of that side is accepted there; only the others go on to the next
side. The limits were chosen so that on the real set (18,794 distinct images, 123 without a face)
every decision at the threshold 0.5 is that of 300 pixels: of the images accepted early the least
confident has 0.551 at 300 pixels. `Detector(exact=True)` does without the cascade.
"""

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from faceemo.assets import catalogue
from faceemo.data.measure.boxes import Box, Detection
from faceemo.data.measure.lending import Lender
from faceemo.data.measure.network import MakeNetwork, Network, OpenCvNetwork

SIDE = 300  # pixels: the network's input, by its deploy.prototxt
# Smaller sides in pixels -> the confidence above which an image is accepted there. The most
# convincing image without a face reaches 0.9813, 0.9807 and 0.9573.
CASCADE = {52: 0.989, 120: 0.989, 192: 0.975}
# Corrections of the published deploy.prototxt, see `_fix_default_boxes`: text -> new text.
CORRECTIONS = {"step: 100": "step: 60", "step: 300": "step: 60"}
MAX_CASCADE_THRESHOLD = 0.5  # the highest threshold at which the cascade's decisions were verified
# Images per forward pass. Measured on two cores at 300: 2 to 8 are equally fast, 32 a fifth slower.
_BATCH_SIZE = 4


class Detector:
    """The res10 network, one copy per worker and side.

    Args:
        workers: Number of threads whose calls of `detect` run at the same time, each with networks
            of its own; further threads wait. Default: the number of cores.
        exact: Whether every image is resized to 300 pixels, without the cascade.
        make_network: What makes the networks; None takes those of OpenCV.

    Raises:
        UserError: If the network's files can be neither found nor downloaded.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        exact: bool = False,
        make_network: MakeNetwork | None = None,
    ):
        self.workers = workers or os.cpu_count() or 1
        self._sides = {SIDE: 0.0} if exact else CASCADE | {SIDE: 0.0}
        make = make_network or find_opencv_network()

        def make_networks() -> dict[int, Network]:
            # one for each side: OpenCV sets a network up anew when the size of its input changes
            return {side: make() for side in self._sides}

        self._networks = Lender(make_networks, self.workers)

    def detect(self, images: Sequence[np.ndarray]) -> list[Detection]:
        """Finds the most confident face in each image; thread-safe.

        Args:
            images: Images of any sizes, uint8 [H, W, BGR].
        """
        found: dict[int, Detection] = {}
        with self._networks.lend() as networks:
            for side, limit in self._sides.items():
                remaining = [index for index in range(len(images)) if index not in found]
                for start in range(0, len(remaining), _BATCH_SIZE):
                    batch = remaining[start : start + _BATCH_SIZE]
                    best = _detect_at(networks[side], [images[index] for index in batch], side)
                    found |= {
                        index: detection
                        for index, detection in zip(batch, best, strict=True)
                        if detection.confidence > limit or side == SIDE
                    }
        return [found[index] for index in range(len(images))]


def detector_name(exact: bool) -> str:
    """Returns the name under which records keep the detector; other sides or limits change it."""
    if exact:
        return "res10_300x300_ssd"
    return "res10_ssd " + ", ".join(f"{side} px above {limit}" for side, limit in CASCADE.items())


def find_opencv_network() -> MakeNetwork:
    """Loads the network's files and returns what makes networks of OpenCV.

    Raises:
        UserError: If they can be neither found nor downloaded.
    """
    return functools.partial(OpenCvNetwork, *load_network_files())


def load_network_files() -> tuple[np.ndarray, np.ndarray]:
    """Loads the network's description and weights as `cv2.dnn.readNetFromCaffe` takes them.

    Raises:
        UserError: If they can be neither found nor downloaded.
    """
    # arrays, because OpenCV takes plain bytes for a file's name
    prototxt = _fix_default_boxes(catalogue.fetch("res10.prototxt").read_bytes())
    weights = np.fromfile(catalogue.fetch("res10.caffemodel"), np.uint8)
    return np.frombuffer(prototxt, np.uint8), weights


def forward(
    network: Network, images: Sequence[np.ndarray], size: tuple[int, int], above: float = 0.0
) -> Iterator[tuple[int, float, Box]]:
    """Runs the network on a batch of images and yields its detections, the surest first.

    It detects up to 200 faces in an image, hardly any of which count: a caller stops where the
    rest cannot matter, or gives a limit.

    Args:
        network: The res10 network.
        images: Images of any sizes, uint8 [H, W, BGR].
        size: Width and height of the network's input, pixels.
        above: Detections must have a confidence above it, 0..1.

    Yields:
        The image's index, the confidence, and the box in the image's own pixels.
    """
    detections = network.detect([cv2.resize(image, size) for image in images], above)
    for number in np.argsort(-detections[:, 2], kind="stable"):
        image, _, confidence, *corners = detections[number]
        # the shortest decimal that gives the same float32: exact, and short in the ledger
        confidence = float(str(confidence))
        if image < 0 or confidence <= above:  # -1 where nothing at all is found
            return
        height, width = images[int(image)].shape[:2]
        edges = np.array(corners) * (width, height, width, height)
        left, top, right, bottom = (round(float(edge), 2) for edge in edges)
        yield int(image), confidence, (left, top, right, bottom)


def _detect_at(network: Network, images: Sequence[np.ndarray], side: int) -> list[Detection]:
    """Finds the most confident face in each image, resized to `side` x `side` pixels."""
    best: dict[int, Detection] = {}
    for index, confidence, box in forward(network, images, (side, side)):
        best.setdefault(index, Detection(confidence, box, side))
        if len(best) == len(images):
            break
    return [best.get(index, Detection(0.0, None, side)) for index in range(len(images))]


@contextlib.contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Limits OpenCV to one thread per call within the context.

    One network per core without threads within it is about a tenth faster (52:47) than the other
    way round.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _fix_default_boxes(prototxt: bytes) -> bytes:
    """Corrects the default boxes of the network's last two layers in its description.

    As published, these layers step over the image by 100 and 300 pixels. But their maps are 5x5,
    so the step is 60, and most of their boxes, faces that fill the image among them, come out far
    beside the image. Only boxes change: the best confidence, which decides, is the same with
    either, because suppression of overlaps never removes the best.
    """
    for wrong, right in CORRECTIONS.items():
        count = prototxt.count(wrong.encode())
        if count != 1:
            raise ValueError(f"expected '{wrong}' once in res10's prototxt, found it {count} times")
        prototxt = prototxt.replace(wrong.encode(), right.encode())
    return prototxt
