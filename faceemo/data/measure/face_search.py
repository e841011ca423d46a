"""Search for all the faces of a photo, where `face_detector` finds only the best one."""

import cv2
import numpy as np

from faceemo.data.measure import face_detector
from faceemo.data.measure.boxes import Detection, suppress_overlaps

# Longer side, in pixels, of the second pass over a photo: it finds faces from about a fortieth of
# that side on, in a quarter of a second on one core.
_LONGER_SIDE = 900
_STEP = 32  # pixels: sides are multiples, so that photos of nearly the same shape share one shape


class FaceSearch:
    """The res10 network, searching for every face at two sizes.

    At 300x300 pixels, its training size, it finds the faces that fill a photo; at the photo's own
    proportions and up to 900 pixels it finds the small ones. Not thread-safe.

    Raises:
        UserError: If the network's files can be neither found nor downloaded.
    """

    def __init__(self):
        files = face_detector.load_network_files()
        # one for each size: OpenCV sets a network up anew whenever the size of its input changes
        self._whole = cv2.dnn.readNetFromCaffe(*files)
        self._detail = cv2.dnn.readNetFromCaffe(*files)

    def search(self, image: np.ndarray, threshold: float) -> list[Detection]:
        """Finds the faces in one image.

        Args:
            image: uint8 [H, W, BGR].
            threshold: Detections must have a confidence above it, 0..1.

        Returns:
            One detection per face, from left to right.
        """
        passes = [(self._whole, (face_detector.SIDE, face_detector.SIDE))]
        if max(image.shape[:2]) > face_detector.SIDE:
            passes.append((self._detail, _detail_size(image)))
        found = [
            Detection(confidence, box, max(size))
            for network, size in passes
            for _, confidence, box in face_detector.forward(network, [image], size)
            if confidence > threshold and box[2] > box[0] and box[3] > box[1]
        ]
        return sorted(suppress_overlaps(found), key=_left)


def _detail_size(image: np.ndarray) -> tuple[int, int]:
    """Returns the width and height of the network's input in the pass for small faces."""
    height, width = image.shape[:2]
    scale = min(1.0, _LONGER_SIDE / max(height, width))
    # an image of a few rows would be scaled to nothing; it shows no face anyway
    wide, high = (max(_STEP, round(side * scale / _STEP) * _STEP) for side in (width, height))
    return wide, high


def _left(detection: Detection) -> float:
    assert detection.box is not None  # only a best detection can lack one
    return detection.box[0]
