"""Smoothing of a video's predictions over time, so that they do not flicker."""

from collections.abc import Sequence

from faceemo.inference.prediction import Prediction


class Smoother:
    """Exponential smoothing of each face's probabilities along its track through the frames.

    Args:
        decay: Share of the earlier probabilities in the smoothed ones, from 0 (no smoothing) to
            below 1.
    """

    def __init__(self, decay: float):
        self._decay = decay
        self._before: dict[int | None, dict[str, float]] = {}

    def smooth(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """Smooths the predictions for the next frame, whose faces have tracks.

        A face that the frame before does not show keeps its own probabilities.
        """
        smoothed = [self._smooth(one) for one in predictions]
        self._before = {one.track: one.probabilities for one in smoothed if one.probabilities}
        return smoothed

    def _smooth(self, one: Prediction) -> Prediction:
        before = self._before.get(one.track)
        if not one.probabilities or before is None:
            return one
        probabilities = {
            name: self._decay * before[name] + (1 - self._decay) * value
            for name, value in one.probabilities.items()
        }
        return one.with_probabilities(probabilities)
