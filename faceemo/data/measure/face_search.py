"""Search for all the faces of a photo, where `face_detector` finds only the best one."""

import collections
import os

import numpy as np

from faceemo.data.measure import face_detector, small_faces
from faceemo.data.measure.boxes import Detection, show_one_face, suppress_overlaps
from faceemo.data.measure.lending import Lender
from faceemo.data.measure.network import MakeNetwork, Network

MIN_FACE = 16  # pixels: the lowest height of faces that a search can aim at
# Longer side, in pixels, of the second pass over a photo: it finds faces from about a fortieth of
# that side on, in a quarter of a second on one core.
LONGER_SIDE = 900
STEP = 32  # pixels: sides are multiples, so that photos of nearly the same shape share one shape
# Networks by their use: OpenCV sets one up anew whenever the size of its input changes.
_Networks = collections.defaultdict[str, Network]


class FaceSearch:
    """The res10 network, searching for every face at several sizes.

    At 300x300 pixels, its training size, it finds the faces that fill a photo; at the photo's own
    proportions and up to 900 pixels it finds smaller ones. Where that shrinks the smallest
    faces too much, the photo is searched in tiles as well (`small_faces`), which can only add
    faces: those of the first two passes stay as they are. Thread-safe.

    Args:
        make_network: What makes the networks; None takes those of OpenCV.

    Raises:
        UserError: If the network's files can be neither found nor downloaded.
    """

    def __init__(self, make_network: MakeNetwork | None = None):
        make = make_network or face_detector.find_opencv_network()
        self._networks: Lender[_Networks] = Lender(
            lambda: collections.defaultdict(make), os.cpu_count() or 1
        )

    def search(self, image: np.ndarray, threshold: float, min_face: float) -> list[Detection]:
        """Finds the faces in one image.

        Args:
            image: uint8 [H, W, BGR].
            threshold: Detections must have a confidence above it, 0..1.
            min_face: Height of the smallest faces to search for, pixels, at least `MIN_FACE`;
                smaller ones are found too where they cost nothing.

        Returns:
            One detection per face, from left to right.
        """
        with self._networks.lend() as networks:
            found = _search_whole(networks, image, threshold)
            found += _search_tiles(networks, image, threshold, min_face, found)
        return sorted(found, key=_left)


def _search_tiles(
    networks: _Networks,
    image: np.ndarray,
    threshold: float,
    min_face: float,
    known: list[Detection],
) -> list[Detection]:
    """Finds the faces that are missing from `known` because they are small."""
    longer = max(image.shape[:2])
    is_shrunk = longer > face_detector.SIDE
    searched = min(1.0, LONGER_SIDE / longer) if is_shrunk else face_detector.SIDE / longer
    confirmed: list[Detection] = []
    for scale in small_faces.list_scales(min_face, searched, min(image.shape[:2])):
        candidates = small_faces.find_candidates(networks["tiles"], image, scale, threshold)
        new = [
            box
            for box in candidates
            if not any(show_one_face(box, one.box) for one in known if one.box)
        ]
        confirmed += small_faces.confirm(networks["candidates"], image, new, threshold)
    return [
        one
        for one in suppress_overlaps(confirmed)
        if not any(show_one_face(one.box, face.box) for face in known if one.box and face.box)
    ]


def _search_whole(networks: _Networks, image: np.ndarray, threshold: float) -> list[Detection]:
    """Finds faces in passes over the whole photo."""
    passes = [("square", (face_detector.SIDE, face_detector.SIDE))]
    if max(image.shape[:2]) > face_detector.SIDE:
        passes.append(("detail", _detail_size(image)))
    return suppress_overlaps(
        Detection(confidence, box, max(size))
        for name, size in passes
        for _, confidence, box in face_detector.forward(networks[name], [image], size, threshold)
        if box[2] > box[0] and box[3] > box[1]
    )


def _detail_size(image: np.ndarray) -> tuple[int, int]:
    """Returns the width and height of the network's input in the pass for smaller faces."""
    height, width = image.shape[:2]
    scale = min(1.0, LONGER_SIDE / max(height, width))
    # an image of a few rows would be scaled to nothing; it shows no face anyway
    wide, high = (max(STEP, round(side * scale / STEP) * STEP) for side in (width, height))
    return wide, high


def _left(detection: Detection) -> float:
    assert detection.box is not None  # only a best detection can lack one
    return detection.box[0]
