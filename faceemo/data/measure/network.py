"""The interface of the res10 network, whatever library runs it, and the network run by OpenCV."""

from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np

MEAN = (104.0, 177.0, 123.0)  # BGR, subtracted from the images when the network was trained


class Network(Protocol):
    """The res10 network."""

    def detect(self, images: Sequence[np.ndarray], above: float) -> np.ndarray:
        """Finds what may be faces in a batch of images.

        Args:
            images: Images of one size, uint8 [H, W, BGR], which is that of the network's input.
            above: Detections with a confidence up to it, 0..1, may be left out.

        Returns:
            Detections, float32 [N, (image, class, confidence, left, top, right, bottom)]: the
            image's index, and the edges as shares of the image. An index of -1 stands for no
            detection.
        """
        ...


MakeNetwork = Callable[[], Network]  # one that only one thread uses at a time


class OpenCvNetwork:
    """The res10 network run by OpenCV, which sets it up anew when the size of the images changes.

    Two threads that run it at once get detections that are in neither image, without an error.
    """

    def __init__(self, description: np.ndarray, weights: np.ndarray):
        """Takes what `face_detector.load_network_files` returns."""
        self._network = cv2.dnn.readNetFromCaffe(description, weights)

    def detect(self, images: Sequence[np.ndarray], above: float) -> np.ndarray:
        """Finds what may be faces in a batch of images, see `Network`."""
        height, width = images[0].shape[:2]
        self._network.setInput(cv2.dnn.blobFromImages(images, 1.0, (width, height), MEAN))
        (detections,) = self._network.forward()[0]
        return detections
