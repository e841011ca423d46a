"""Faces of a film: searched for at intervals, and followed in the frames between."""

import dataclasses
import itertools
from collections.abc import Callable

import cv2
import numpy as np

from faceemo.data.measure.boxes import Box, box_iou, share_inside, show_one_face
from faceemo.data.measure.decode import Pixels
from faceemo.errors import UserError
from faceemo.inference.faces import Face, FaceFinder, find_frame
from faceemo.inference.loaded_image import LoadedImage

INTERVAL = 0.2  # seconds from one search to the next: five frames of most films
_TICK = 1e-3  # seconds, the resolution of the times of frames
_SIDE = 32  # pixels of the small pictures by which cuts are found
# Mean difference of the pixels of two small pictures, of 255, above which there is a cut between
# them.
_CUT = 20.0
# Overlap of the boxes of a search and of a second look, as intersection over union, above which
# they show the same part of a face. That of one that enters the frame may be smaller.
_SAME_PART = 0.7
_INSIDE = 0.5  # share of a box in the frame below which the face has left it


@dataclasses.dataclass(frozen=True)
class _Place:
    """A face that is followed.

    Attributes:
        face: The face as the search found it.
        searched: Its box then, or that of a second look where this shows another part.
        looked: Its box in the same frame, by a second look.
        last: Its box in the last frame.
    """

    face: Face
    searched: Box
    looked: Box
    last: Box

    def move(self, found: Box, frame: Box) -> "_Place | None":
        """Moves the face as its box by second looks has moved since the search.

        Boxes of the search and of second looks differ by some percent, which would make the
        probabilities of a face that stands still flicker. What a second look sees beyond the edge
        of the frame are repeated pixels, in which a search sees nothing.

        Args:
            found: Its box in this frame, by a second look.
            frame: The whole frame.

        Returns:
            The face with its part in the frame; None if it has left it.
        """
        edges = [0.0] * 4
        for low, high in ((0, 2), (1, 3)):
            scale = (found[high] - found[low]) / (self.looked[high] - self.looked[low])
            for edge in (low, high):
                edges[edge] = found[low] + scale * (self.searched[edge] - self.looked[low])
        left, top, right, bottom = (round(edge, 2) for edge in edges)
        if share_inside((left, top, right, bottom), frame) < _INSIDE:
            return None
        inside = max(left, 0), max(top, 0), min(right, frame[2]), min(bottom, frame[3])
        return dataclasses.replace(self, last=inside)


class FaceFollower:
    """The search for the faces of a film, frame by frame.

    Every frame is searched that comes an interval or more after the last one that was, follows a
    cut, or in which a face is not found again where it was in the frame before. In the others the
    detector looks near the faces of the frame before alone. So a face that appears is found within
    the interval, and one that is seen is followed through every frame.

    Args:
        finder: The finder that follows faces.
        search: Searches a frame for all its faces.
        interval: Seconds between searches; with 0 every frame is searched.
    """

    def __init__(
        self, finder: FaceFinder, search: Callable[[LoadedImage], list[Face]], interval: float
    ):
        self._finder, self._search, self._interval = finder, search, interval
        self._last: LoadedImage | None = None
        self._small = np.zeros(0)  # a small picture of the last frame
        self._searched = 0.0  # the time of the frame that was searched last
        self._found: list[Face] = []  # its faces
        self._places: list[_Place] | None = None  # None before the first frame after a search

    def find(self, image: LoadedImage) -> list[Face]:
        """Finds the faces of a frame; frames come in order, those of one film after another."""
        if image.pixels is None or image.time is None:
            return self._search(image)
        size = (_SIDE, _SIDE)
        small = cv2.resize(image.pixels.grey, size, interpolation=cv2.INTER_AREA).astype(np.int16)
        faces = None if self._is_due(image, small) else self._follow(image.pixels)
        if faces is None:
            faces = self._search(image)
            self._searched, self._found, self._places = image.time, faces, None
        self._last, self._small = image, small
        return faces

    def _is_due(self, image: LoadedImage, small: np.ndarray) -> bool:
        """Returns whether a search is due: by the clock, after a cut, or in another film."""
        last, time = self._last, image.time
        if last is None or last.time is None or time is None:
            return True
        if image.film != last.film or time < last.time:  # a film may be given twice
            return True
        if time - self._searched > self._interval - _TICK:
            return True
        return float(np.abs(small - self._small).mean()) > _CUT

    def _follow(self, pixels: Pixels) -> list[Face] | None:
        """Finds the faces again, from left to right; returns None if a search must tell."""
        places = self._begin() if self._places is None else self._places
        if places is None:
            return None
        looks = self._finder.look_again(pixels, [one.last for one in places])
        frame = find_frame(pixels)
        pairs = [
            (moved, look)
            for place, look in zip(places, looks, strict=True)
            if look and look.box and (moved := place.move(look.box, frame))
        ]
        if len(pairs) < len(places) or _overlap([place.last for place, _ in pairs]):
            return None
        self._places = [place for place, _ in pairs]
        return [
            self._finder.take_again(pixels, dataclasses.replace(look, box=place.last), place.face)
            for place, look in sorted(pairs, key=lambda pair: pair[0].last[0])
        ]

    def _begin(self) -> list[_Place] | None:
        """Looks again at the faces in the frame that was searched; None if one cannot be followed.

        A face that fills its frame is taken whole, which a search alone decides.
        """
        pixels = self._last.pixels if self._last else None
        if pixels is None or pixels.reduction != 1:
            return None
        frame = find_frame(pixels)
        boxes = [one.box for one in self._found if one.box and one.region != frame]
        if len(boxes) < len(self._found):
            return None
        looks = self._finder.look_again(pixels, boxes)
        places = [
            _Place(face, box if box_iou(box, look.box) > _SAME_PART else look.box, look.box, box)
            for face, box, look in zip(self._found, boxes, looks, strict=True)
            if look and look.box
        ]
        return places if len(places) == len(boxes) else None


def check_interval(seconds: float) -> None:
    """Raises a `UserError` if a search interval is out of range."""
    if not seconds >= 0:  # so is NaN
        raise UserError(
            expected="a search_interval of at least 0 seconds",
            found=f"{seconds:g}",
            fix="give 0 to search every frame of a film, or 0.2",
        )


def _overlap(boxes: list[Box]) -> bool:
    """Returns whether two of the boxes show one face."""
    return any(show_one_face(*pair) for pair in itertools.combinations(boxes, 2))
