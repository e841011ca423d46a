"""A second look of the detector at one place, also turned, which tells faces from look-alikes.

In its first look the detector takes many a dog for a face. With the place alone before it, at 120
pixels and with as much around it as a portrait shows, it hardly does: see `face_check`, whose
thresholds are about the confidences of this module.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from faceemo.data.measure import face_detector, small_faces
from faceemo.data.measure.boxes import Box, Detection, box_iou
from faceemo.data.measure.lending import Lender
from faceemo.data.measure.network import MakeNetwork

SIDE = 120  # pixels of the detector's input; a look takes a sixth of the time of one at 300
LEAST = 0.1  # lower confidences count as none: nothing depends on how low they are
SAME_IOU = 0.25  # between the place and the box of the second look


class SecondLook:
    """The res10 network that looks at places alone; thread-safe.

    Args:
        make_network: What makes the networks; None takes those of OpenCV.

    Raises:
        UserError: If the network's files can be neither found nor downloaded.
    """

    def __init__(self, make_network: MakeNetwork | None = None):
        make = make_network or face_detector.find_opencv_network()
        self._networks = Lender(make, os.cpu_count() or 1)

    def look(
        self, image: np.ndarray, box: Box, context: float, turns: Sequence[int] = (0,)
    ) -> list[float]:
        """Computes the confidence that a place shows a face.

        Args:
            image: uint8 [H, W, BGR].
            box: The place, pixels.
            context: The side of the square that is looked at, per longer side of the box.
            turns: Quarter turns, anticlockwise, by which the square is turned first.

        Returns:
            For each turn, the confidence of the best detection that overlaps the place, above
            `LEAST`; 0 if there is none. With a context of 1 it may be anywhere in it: what is
            looked at is a crop, loose or tight.
        """
        square = small_faces.cut(image, *small_faces.square_around(box, context), SIDE)
        return self._look(_turn(square, turns), context)

    def look_at_crops(
        self, crops: Sequence[np.ndarray], turns: Sequence[int] = (0,)
    ) -> list[list[float]]:
        """Computes the confidences that crops show a face, of all of them in one batch.

        Args:
            crops: Images of any sizes, uint8 [H, W, BGR].
            turns: See `look`.

        Returns:
            For each crop what `look` returns for the whole of it, with a context of 1, up to
            rounding.
        """
        looks: list[np.ndarray] = []
        for crop in crops:
            height, width = crop.shape[:2]
            square = small_faces.square_around((0, 0, width, height), 1.0)
            looks += _turn(small_faces.cut(crop, *square, SIDE), turns)
        found = self._look(looks, 1.0) if looks else []
        return [found[start : start + len(turns)] for start in range(0, len(found), len(turns))]

    def find_again(
        self, image: np.ndarray, boxes: Sequence[Box], context: float
    ) -> list[Detection | None]:
        """Finds faces near the places where they were in the frame before.

        Args:
            image: uint8 [H, W, BGR].
            boxes: The places, pixels.
            context: The side of the square that is looked at, per longer side of the box.

        Returns:
            For each place, the best detection that overlaps it; None if there is none.
        """
        squares = [small_faces.square_around(box, context) for box in boxes]
        crops = [small_faces.cut(image, *square, SIDE) for square in squares]
        moved: list[Detection | None] = []
        for found, (left, top, side) in zip(self._find(crops, context), squares, strict=True):
            if found and found.box:
                edges = (edge * side / SIDE for edge in found.box)
                x, y, right, bottom = (round(edge, 2) for edge in edges)
                box = (left + x, top + y, left + right, top + bottom)
                found = dataclasses.replace(found, box=box)
            moved.append(found)
        return moved

    def _look(self, looks: Sequence[np.ndarray], context: float) -> list[float]:
        """Returns the confidences of what `_find` finds; 0 for nothing."""
        return [one.confidence if one else 0.0 for one in self._find(looks, context)]

    def _find(self, looks: Sequence[np.ndarray], context: float) -> list[Detection | None]:
        """Finds the best detection in each square, in its pixels, that overlaps its centre.

        Args:
            looks: Squares of `SIDE` pixels, uint8 [SIDE, SIDE, BGR].
            context: The side of the squares per side of the place in their centre.
        """
        low, high = SIDE / 2 * (1 - 1 / context), SIDE / 2 * (1 + 1 / context)
        place = (low, low, high, high)
        least = SAME_IOU if context > 1 else 0.0
        best: dict[int, Detection] = {}
        with self._networks.lend() as network:
            detections = face_detector.forward(network, looks, (SIDE, SIDE), LEAST)
            for index, confidence, found in detections:
                is_empty = found[2] <= found[0] or found[3] <= found[1]
                if not is_empty and box_iou(place, found) > least:
                    best.setdefault(index, Detection(confidence, found, SIDE))
                    if len(best) == len(looks):
                        break
        return [best.get(index) for index in range(len(looks))]


def _turn(square: np.ndarray, turns: Sequence[int]) -> list[np.ndarray]:
    """Turns a square by each number of quarter turns, anticlockwise."""
    return [np.ascontiguousarray(np.rot90(square, turn)) for turn in turns]
