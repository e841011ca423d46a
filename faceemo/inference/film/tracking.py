"""Identity of faces over the frames of a film, by the overlap of their boxes."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from faceemo.data.measure.boxes import Box, box_iou
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.prediction import Prediction

_MIN_IOU = 0.3  # with the place where the face is expected; below it the face is another one
_MAX_GAP = 1.0  # seconds for which a face may be unseen
_MEMORY = 0.2  # seconds over which the speed of a face is averaged
# Share of its sides by which the box of an unseen face, and one that may be it, is enlarged on each
# side: a face that vanishes behind another is seen in part before and after.
_MARGIN = 0.5
_TICK = 1e-3  # seconds, the resolution of the times of frames
# Stands for the box in a frame that is taken as a face, so that all such frames show one face.
_WHOLE_FRAME: Box = (0, 0, 1, 1)


@dataclasses.dataclass(frozen=True)
class _Track:
    """A face as it was last seen.

    Attributes:
        number: Its number, from 1.
        time: The time at which it was seen, seconds.
        box: Its box then.
        speed: The speed of the box, to the right and down, pixels per second.
    """

    number: int
    time: float
    box: Box
    speed: tuple[float, float] = (0.0, 0.0)

    def expect(self, time: float) -> Box:
        """Returns the box at a later time if the speed stays."""
        left, top, right, bottom = self.box
        x, y = (one * (time - self.time) for one in self.speed)
        return left + x, top + y, right + x, bottom + y

    def move(self, time: float, box: Box) -> "_Track":
        """Returns the track after the face was seen at `box`, no earlier than before."""
        seconds = max(time - self.time, _TICK)
        share = 1 - math.exp(-seconds / _MEMORY)
        edges = [(new - old) / seconds for new, old in zip(box, self.box, strict=True)]
        x, y = (
            speed + share * (_measure(first, second, speed) - speed)
            for first, second, speed in zip(edges[:2], edges[2:], self.speed, strict=True)
        )
        return _Track(self.number, time, box, (x, y))


class Tracker:
    """Numbers for the faces of a film: one face has one number, from 1, in all frames.

    A face is the one from an earlier frame whose box, moved on at its speed, overlaps its own. The
    assignment of all faces of a frame is the one with the largest sum of overlaps. Faces of the
    frame before come first; then those that have been unseen for at most a second, so that a face
    keeps its number when another one passes in front of it. A face that is away for longer gets a
    new number, as nothing but the place tells faces apart.
    """

    def __init__(self):
        self._time = -math.inf
        self._tracks: list[_Track] = []
        self._count = 0

    def update(self, time: float, boxes: Sequence[Box]) -> list[int]:
        """Returns the number of each face of the next frame.

        Args:
            time: The time of the frame, seconds, no earlier than that of the frame before.
            boxes: The boxes of its faces, which are not empty.
        """
        seen = [track for track in self._tracks if track.time == self._time]
        unseen = [
            track
            for track in self._tracks
            if track.time < self._time and time - track.time <= _MAX_GAP
        ]
        moved: dict[int, _Track] = {}  # by the place of the box
        left: list[_Track] = []
        for tracks, margin in ((seen, 0.0), (unseen, _MARGIN)):
            open_boxes = [place for place in range(len(boxes)) if place not in moved]
            pairs = assign(
                [_enlarge(track.expect(time), margin) for track in tracks],
                [_enlarge(boxes[place], margin) for place in open_boxes],
            )
            for row, column in pairs.items():
                place = open_boxes[column]
                moved[place] = tracks[row].move(time, boxes[place])
            left += [track for row, track in enumerate(tracks) if row not in pairs]
        for place, box in enumerate(boxes):
            if place not in moved:
                self._count += 1
                moved[place] = _Track(self._count, time, box)
        self._time, self._tracks = time, [*moved.values(), *left]
        return [moved[place].number for place in range(len(boxes))]


def assign(first: Sequence[Box], second: Sequence[Box]) -> dict[int, int]:
    """Pairs boxes so that the sum of their overlaps, as intersection over union, is largest.

    Returns:
        The index of the box in `second` for that of one in `first`; boxes that overlap too little
        have no pair.
    """
    if not first or not second:
        return {}
    # Takes a second, which photographs need not wait for.
    from scipy.optimize import linear_sum_assignment

    overlaps = np.array([[box_iou(one, other) for other in second] for one in first])
    overlaps[overlaps < _MIN_IOU] = 0
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if overlaps[row, column]}


def track_films(
    predicted: Iterable[tuple[LoadedImage, list[Prediction]]],
) -> Iterator[tuple[LoadedImage, list[Prediction]]]:
    """Adds the numbers of tracks to predictions for the frames of films; each film begins anew.

    Args:
        predicted: Images with their predictions; frames in the order of their times.
    """
    film, last, tracker = None, -math.inf, Tracker()
    for image, predictions in predicted:
        if image.time is None or image.pixels is None:
            yield image, predictions
            continue
        if image.film != film or image.time < last:  # a film may be given twice
            film, tracker = image.film, Tracker()
        last = image.time
        faces = [one for one in predictions if one.probabilities]
        numbers = iter(tracker.update(last, [one.box or _WHOLE_FRAME for one in faces]))
        yield (
            image,
            [
                dataclasses.replace(one, track=next(numbers)) if one.probabilities else one
                for one in predictions
            ],
        )


def _enlarge(box: Box, margin: float) -> Box:
    left, top, right, bottom = box
    x, y = margin * (right - left), margin * (bottom - top)
    return left - x, top - y, right + x, bottom + y


def _measure(first: float, second: float, before: float) -> float:
    """Returns the speed of a face from those of two opposite edges of its box, and from before.

    If something covers a face bit by bit, the edge there stands still while the other moves on.
    """
    return min(first, second, (first + second) / 2, key=lambda speed: abs(speed - before))
