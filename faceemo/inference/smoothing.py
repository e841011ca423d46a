"""Answers on a video that do not flicker: each face's probabilities follow those before."""

from collections.abc import Sequence

from faceemo.data.measure.boxes import Box, box_iou
from faceemo.inference.prediction import Prediction, on_face

_SAME = 0.3  # intersection over union with where a face was, from which on it is the same
_WHOLE: Box = (0, 0, 1, 1)  # stands for a frame that is a face as it is, and so for one face's way


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
        smoothed, tracks = [], []
        for one in answers:
            if not one.probabilities:
                smoothed.append(one)
                continue
            box, probabilities = one.box or _WHOLE, one.probabilities
            near = max(left, key=lambda track, box=box: box_iou(track[0], box), default=None)
            if near is not None and box_iou(near[0], box) >= _SAME:
                left.remove(near)
                probabilities = {
                    name: self._keep * near[1][name] + (1 - self._keep) * value
                    for name, value in probabilities.items()
                }
            follows = on_face(one.index, one.name, probabilities, one.box, one.face_confidence)
            smoothed.append(follows)
            tracks.append((box, probabilities))
        self._before = tracks
        return smoothed
