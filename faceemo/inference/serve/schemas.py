"""The forms of what the API answers, from which its description is made."""

from typing import Literal

from pydantic import BaseModel, Field

from faceemo.analysis.theme import template
from faceemo.inference.prediction import Prediction
from faceemo.inference.serve.heatmaps import MOST


class FaceAnswer(BaseModel):
    """What one face expresses."""

    status: Literal["ok", "unsure"] = Field(
        description="'unsure' if the answer is more likely wrong than right."
    )
    label: str | None = Field(description="The emotion; null unless the status is 'ok'.")
    leaning: str = Field(description="The most probable emotion, sure or not.")
    probability: float = Field(description="Of the leaning, 0 to 1.")
    probabilities: dict[str, float] = Field(
        description="Of every class, calibrated on validation, together 1."
    )
    box: tuple[float, float, float, float] | None = Field(
        description="Of the face: left, top, right, bottom, in pixels of the upright picture; it "
        "may reach beyond it. Null where no face was looked for."
    )
    face_confidence: float | None = Field(description="Of the face detector, 0 to 1.")
    region: tuple[float, float, float, float] = Field(
        description="The part of the picture that the network was shown, like the box."
    )
    heat: str | None = Field(
        None,
        description="With heat=true: a PNG as data URI, to be laid over the region: where the "
        f"evidence for the leaning lies, by Grad-CAM; of the {MOST} largest faces.",
    )


class Answer(BaseModel):
    """What a picture shows."""

    status: Literal["ok", "no_face"] = Field(description="Whether there is any face.")
    width: int = Field(description="Of the upright picture, pixels.")
    height: int = Field(description="Of the upright picture, pixels.")
    faces: list[FaceAnswer] = Field(description="From left to right.")
    without_heat: int = Field(
        description=f"With heat=true: faces beyond the {MOST} largest, which get no map."
    )
    seconds: float = Field(description="From when the picture had arrived, waiting included.")


class Problem(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="A word for programs.")
    expected: str = Field(description="What would have been answered.")
    found: str = Field(description="What came instead.")
    fix: str = Field(description="How to mend it.")
    message: str = Field(description="The three as one sentence.")


class Score(BaseModel):
    """Of the stored epoch, which was chosen by it: new images would give somewhat less."""

    accuracy: float = Field(description="Share of images that it names right, 0 to 1.")
    interval: tuple[float, float] = Field(description="95%, over images.")
    majority_baseline: float = Field(description="Of always naming the most frequent class.")


class Caps(BaseModel):
    """What one picture may be."""

    bytes: int = Field(description="At the most.")
    pixels: int = Field(description="At the most, by the picture's header.")
    formats: str = Field(description="By content; its name does not count.")


class About(BaseModel):
    """The network that answers."""

    name: str = Field(description="Backbone and variant.")
    classes: list[str] = Field(description="All that it can name.")
    image_size: int = Field(description="Side of what the network is shown, pixels.")
    native_size: int = Field(description="Side at which the training images were kept, pixels.")
    trained_on: str = Field(description="What was in its training images.")
    temperature: float = Field(description="Of the calibration; 1 where there is none.")
    unsure_below: float = Field(description="Probability below which an answer is withheld.")
    face_threshold: float = Field(description="Confidence from which on a face is one.")
    validation: Score | None = Field(description="Null where no results are kept with it.")
    limits: Caps = Field(description="Of a picture.")
    version: str = Field(description="Of faceemo.")


class Health(BaseModel):
    """Whether the server can answer."""

    status: Literal["ok"] = Field(description="It is asked, and it answers.")
    requests: int = Field(description="Received or waiting now.")
    places: int = Field(description="For so many there is room.")


def face_answer(
    one: Prediction, region: tuple[float, float, float, float], heat: bytes | None
) -> FaceAnswer:
    """The answer on a face; `heat` is a PNG."""
    assert one.leaning is not None  # there is a face
    assert one.probability is not None
    return FaceAnswer(
        status="ok" if one.label else "unsure",
        label=one.label,
        leaning=one.leaning,
        probability=one.probability,
        probabilities=one.probabilities,
        box=one.box,
        face_confidence=one.face_confidence,
        region=region,
        heat=template.uri(heat) if heat else None,
    )
