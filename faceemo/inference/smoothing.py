"""Answers on a video that do not flicker: each face's probabilities follow those before."""

from collections.abc import Sequence

from faceemo.data.screen import Box
from faceemo.data.search import overlap
from faceemo.inference.prediction import Prediction, on_face

_SAME = 0.3  # intersection over union with where a face was, from which on it is the same


class Smoother:
    """Exponential smoothing along each face's way through the frames.

    Args:
        keep: share of what was believed before, 0 (nothing is smoothed) to below 1.
    """

    def __init__(self, keep: float):
        self._keep = keep
        self._before: list[tuple[Box, dict[str, float]]] = []

    def smooth(self, answers: Sequence[Prediction]) -> list[Prediction]:
        """The answers on the next frame. A face that was not there a frame ago starts anew."""
        left = list(self._before)
        smoothed = []
        for one in answers:
            box, probabilities = one.box, one.probabilities
            if box is None:
                smoothed.append(one)
                continue
            near = max(left, key=lambda track, box=box: overlap(track[0], box), default=None)
            if near is not None and overlap(near[0], box) >= _SAME:
                left.remove(near)
                probabilities = {
                    name: self._keep * near[1][name] + (1 - self._keep) * value
                    for name, value in probabilities.items()
                }
            smoothed.append(on_face(one.index, one.name, probabilities, box, one.face_confidence))
        self._before = [(one.box, one.probabilities) for one in smoothed if one.box]
        return smoothed
