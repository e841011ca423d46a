"""Smoothing of a video's predictions over time, so that they do not flicker."""

from collections.abc import Sequence

from faceemo.data.measure.boxes import Box, box_iou
from faceemo.inference.prediction import Prediction

_SAME_FACE_IOU = 0.3  # with the face's box in the frame before; from here on it is the same face
# Stands for the box in a frame that is taken as a face, so that all such frames show one face.
_WHOLE_FRAME: Box = (0, 0, 1, 1)


class Smoother:
    """Exponential smoothing of each face's probabilities along its path through the frames.

    Args:
        decay: Share of the earlier probabilities in the smoothed ones, from 0 (no smoothing) to
            below 1.
    """

    def __init__(self, decay: float):
        self._decay = decay
        self._tracks: list[tuple[Box, dict[str, float]]] = []

    def smooth(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """Smooths the predictions for the next frame.

        A face without a matching box in the frame before keeps its own probabilities.
        """
        unmatched = list(self._tracks)
        smoothed, tracks = [], []
        for one in predictions:
            if not one.probabilities:
                smoothed.append(one)
                continue
            box, probabilities = one.box or _WHOLE_FRAME, one.probabilities
            nearest = max(
                unmatched, key=lambda track, box=box: box_iou(track[0], box), default=None
            )
            if nearest is not None and box_iou(nearest[0], box) >= _SAME_FACE_IOU:
                unmatched.remove(nearest)
                probabilities = {
                    name: self._decay * nearest[1][name] + (1 - self._decay) * value
                    for name, value in probabilities.items()
                }
            smoothed.append(
                Prediction.from_probabilities(
                    one.index,
                    one.name,
                    probabilities,
                    one.box,
                    one.face_confidence,
                    region=one.region,
                    time=one.time,
                )
            )
            tracks.append((box, probabilities))
        self._tracks = tracks
        return smoothed
