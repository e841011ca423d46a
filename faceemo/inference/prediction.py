"""What a predictor answers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from faceemo.data.measure.boxes import Box

OK = "ok"
UNSURE = "unsure"
NO_FACE = "no_face"
# Of calibrated probabilities: below it an answer is more likely wrong than right, and withholding
# it is right wherever an error costs as much as an answer is worth (C. K. Chow, IEEE Trans. Inf.
# Theory 16, 1970). Validation comes in by the temperature, which makes probabilities mean that.
UNSURE_BELOW = 0.5


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The answer on one face; or, with the status 'no_face', on an image that shows none.

    Attributes:
        index: which of the given images, from 0.
        name: of that image: its path, or 'image 3'.
        status: 'ok'; 'unsure', if the answer is more likely wrong than right; 'no_face'.
        label: the emotion; None unless the status is 'ok'.
        probabilities: of every class, calibrated, together 1; empty without a face.
        box: of the face: left, top, right, bottom, in pixels of the image, upright; it may reach
            beyond the image. None without a face, or where none was looked for.
        face_confidence: of the detector, 0..1; None where no face was looked for.
    """

    index: int
    name: str
    status: str
    label: str | None
    probabilities: dict[str, float]
    box: Box | None
    face_confidence: float | None

    @property
    def leaning(self) -> str | None:
        """The most probable class, whether sure or not; None without a face."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default=None)

    @property
    def probability(self) -> float | None:
        """Of the `leaning`; None without a face."""
        return max(self.probabilities.values(), default=None)

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return dataclasses.asdict(self)


def on_face(
    index: int,
    name: str,
    probabilities: Mapping[str, float],
    box: Box | None,
    face_confidence: float | None,
) -> Prediction:
    """The answer that follows from the probabilities of a face; arguments as of `Prediction`."""
    best = max(probabilities, key=probabilities.__getitem__)
    sure = probabilities[best] >= UNSURE_BELOW
    return Prediction(
        index=index,
        name=name,
        status=OK if sure else UNSURE,
        label=best if sure else None,
        probabilities=dict(probabilities),
        box=box,
        face_confidence=face_confidence,
    )


def without_face(index: int, name: str) -> Prediction:
    """The answer on an image in which no face was found."""
    return Prediction(index, name, NO_FACE, None, {}, None, None)
