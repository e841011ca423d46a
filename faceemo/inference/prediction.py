"""A predictor's result for one face, or for an image without any."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from faceemo.data.measure.boxes import Box
from faceemo.errors import escape_name

OK = "ok"
UNSURE = "unsure"
NO_FACE = "no_face"
UNREADABLE = "unreadable"
NOTHING_FOUND = "no face was found"
# On calibrated probabilities. Below one half the prediction is more likely wrong than right; if an
# error costs as much as a correct prediction gains, it should be withheld (C. K. Chow, IEEE Trans.
# Inf. Theory 16, 1970). This holds only after temperature scaling on validation.
UNSURE_BELOW = 0.5
IMPROBABLE = "the most probable emotion is more likely wrong than right"

# The fields of a face. Names and values are the same in Python, CSV, JSON, JSON Lines and the API;
# CSV spreads boxes and probabilities over columns.
FACE_FIELDS = (
    *("status", "label", "leaning", "probability", "probabilities"),
    *("box", "region", "face_confidence", "time", "track", "reason"),
)
# Those of the image are around them; the API leaves these out, as a request is about one image.
FIELDS = ("index", "name", *FACE_FIELDS, "problem")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The prediction for one face, or the finding that an image shows none or is unreadable.

    Everything that leaves the program holds the attributes and properties named in `FIELDS`.

    Attributes:
        index: The image's place among the given ones, from 0; every frame of a film counts.
        name: The image's path, 'film.mp4#12' for a frame of a film, or 'image 3'.
        status: 'ok'; 'unsure' if the most probable class is more likely wrong than right, or if the
            face is not one whose emotion can be told; 'no_face' if the image shows no face;
            'unreadable' if it cannot be read.
        label: The emotion; None unless the status is 'ok'.
        probabilities: The calibrated probability of every class, with sum 1; empty without a face.
        box: The face's bounding box: left, top, right, bottom, in pixels of the upright image; it
            may reach beyond the image. None without a face, or if the detector did not run.
        face_confidence: The detector's confidence, 0..1; None if the detector found no face or did
            not run. It also judges images that are given as crops, unless the check of the faces
            is off.
        region: The part of the image that is the network's input: left, top, right, bottom, in
            pixels; it may reach beyond the image. None without a face.
        time: The time of a frame since the beginning of its film, seconds; None for an image.
        problem: The reason if the image is unreadable; empty otherwise.
        track: The number of the face in its film, from 1, which is the same in all frames; None for
            an image, and without a face.
        reason: Why the status is not 'ok', in words; empty if it is.
    """

    index: int
    name: str
    status: str
    label: str | None
    probabilities: dict[str, float]
    box: Box | None
    face_confidence: float | None
    region: Box | None = None
    time: float | None = None
    problem: str = ""
    track: int | None = None
    reason: str = ""

    @classmethod
    def from_probabilities(
        cls,
        index: int,
        name: str,
        probabilities: Mapping[str, float],
        box: Box | None,
        face_confidence: float | None,
        *,
        region: Box | None = None,
        time: float | None = None,
        track: int | None = None,
        doubt: str = "",
    ) -> "Prediction":
        """Makes the prediction for a face; see the class for the arguments.

        `doubt` says why the face is not one whose emotion can be told (`face_check`), or is empty.
        """
        best = max(probabilities, key=probabilities.__getitem__)
        reason = doubt or ("" if probabilities[best] >= UNSURE_BELOW else IMPROBABLE)
        sure = not reason
        return cls(
            index=index,
            name=name,
            status=OK if sure else UNSURE,
            label=best if sure else None,
            probabilities=dict(probabilities),
            box=box,
            face_confidence=face_confidence,
            region=region,
            time=time,
            track=track,
            reason=reason,
        )

    def with_probabilities(self, probabilities: Mapping[str, float]) -> "Prediction":
        """Makes the prediction for the same face with other probabilities."""
        return Prediction.from_probabilities(
            self.index,
            self.name,
            probabilities,
            self.box,
            self.face_confidence,
            region=self.region,
            time=self.time,
            track=self.track,
            doubt="" if self.reason == IMPROBABLE else self.reason,
        )

    @classmethod
    def without_face(cls, index: int, name: str, time: float | None = None) -> "Prediction":
        """Makes the prediction for an image in which no face was found."""
        return cls(index, name, NO_FACE, None, {}, None, None, time=time, reason=NOTHING_FOUND)

    @classmethod
    def unreadable(
        cls, index: int, name: str, problem: str, time: float | None = None
    ) -> "Prediction":
        """Makes the prediction for an image that cannot be read, with the reason."""
        return cls(
            *(index, name, UNREADABLE, None, {}, None, None),
            time=time,
            problem=problem,
            reason=problem,
        )

    @property
    def leaning(self) -> str | None:
        """The most probable class, whether sure or not; None without a face."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default=None)

    @property
    def probability(self) -> float | None:
        """The probability of the most probable class; None without a face."""
        return max(self.probabilities.values(), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Returns the values of `FIELDS`, ready for JSON: names are escaped."""
        fields = {name: getattr(self, name) for name in FIELDS}
        texts = {name: escape_name(getattr(self, name)) for name in ("name", "problem", "reason")}
        return fields | texts | {"probabilities": dict(self.probabilities)}
