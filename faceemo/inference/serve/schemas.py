"""Schemas of the API's responses, from which its OpenAPI description is generated."""

from concurrent.futures import Future
from typing import Literal

from pydantic import BaseModel, Field

from faceemo.analysis.theme import template
from faceemo.errors import escape_name
from faceemo.inference.prediction import FACE_FIELDS, Prediction
from faceemo.inference.serve.errors import ApiError
from faceemo.inference.serve.heatmaps import MAX_HEATMAPS


class FacePrediction(BaseModel):
    """The prediction for one face."""

    status: Literal["ok", "unsure"] = Field(
        description="'unsure' if the prediction is more likely wrong than right, or the face is "
        "not one whose emotion can be told; otherwise 'ok'."
    )
    label: str | None = Field(description="The predicted emotion; null unless the status is 'ok'.")
    leaning: str = Field(description="The most probable emotion, whatever the status.")
    probability: float = Field(description="Probability of the leaning, 0 to 1.")
    probabilities: dict[str, float] = Field(
        description="Probabilities of all classes, which sum to 1; calibrated on the validation "
        "split unless the temperature of the network is 1."
    )
    box: tuple[float, float, float, float] | None = Field(
        description="Bounding box of the face: left, top, right, bottom, in pixels of the upright "
        "image; it may extend beyond the image. Null if no face was searched for."
    )
    face_confidence: float | None = Field(
        description="Confidence of the face detector, 0 to 1, with which it also judges images "
        "that are given as crops; null if faces are not checked, and none was searched for."
    )
    region: tuple[float, float, float, float] = Field(
        description="The part of the image that is the network's input, in the form of the box."
    )
    time: float | None = Field(
        None, description="The second of the film; null, as this is an image."
    )
    track: int | None = Field(
        None, description="The number of the face in its film; null, as this is an image."
    )
    reason: str = Field(description="Why the status is not 'ok', in words; empty if it is.")
    heat: str | None = Field(
        None,
        description="With heat=true, for each of the "
        f"{MAX_HEATMAPS} largest faces: a PNG as data URI, to be laid over the region. It shows "
        "where the evidence for the leaning is (Grad-CAM).",
    )
    thumbnail: str | None = Field(
        None, description="With thumbnails=true: the region as a JPEG, as data URI."
    )

    @classmethod
    def from_prediction(
        cls,
        prediction: Prediction,
        heatmap: bytes | None,
        thumbnail: bytes | None = None,
    ) -> "FacePrediction":
        """Converts the prediction for a face; `heatmap` is a PNG, `thumbnail` a JPEG."""
        fields = prediction.to_dict()
        return cls(
            **{name: fields[name] for name in FACE_FIELDS},
            heat=template.png_uri(heatmap) if heatmap else None,
            thumbnail=template.jpeg_uri(thumbnail) if thumbnail else None,
        )


class PredictResponse(BaseModel):
    """The predictions for all faces in an image."""

    status: Literal["ok", "no_face"] = Field(
        description="'no_face' if no face was found, otherwise 'ok'."
    )
    width: int = Field(description="Width of the upright image, pixels.")
    height: int = Field(description="Height of the upright image, pixels.")
    faces: list[FacePrediction] = Field(
        description="The faces in the order of reading: rows from top to bottom, each from left to "
        "right."
    )
    without_heat: int = Field(
        description="With heat=true: number of faces without a heatmap, those beyond the "
        f"{MAX_HEATMAPS} largest."
    )
    seconds: float = Field(
        description="Seconds since the upload was complete, waiting time included."
    )


class ImageResult(BaseModel):
    """The predictions for one of several images, or the reason why there are none."""

    index: int = Field(description="The place of the image in the request, from 0.")
    name: str = Field(description="The name of its file, as the request gives it.")
    status: Literal["ok", "no_face", "unreadable"] = Field(
        description="'unreadable' if the image cannot be read, 'no_face' if no face was found in "
        "it, otherwise 'ok'."
    )
    problem: str = Field(description="Why the image cannot be read; empty if it can.")
    width: int | None = Field(
        default=None, description="Width of the upright image, pixels; null if it cannot be read."
    )
    height: int | None = Field(
        default=None, description="Height of the upright image, pixels; null if it cannot be read."
    )
    faces: list[FacePrediction] = Field(
        default_factory=list, description="As in PredictResponse; empty if there are none."
    )
    without_heat: int = Field(default=0, description="As in PredictResponse.")

    @classmethod
    def from_outcome(
        cls, index: int, name: str, outcome: "Future[PredictResponse]"
    ) -> "ImageResult":
        """Makes the result from the worker's outcome; an `ApiError` makes it unreadable.

        Raises:
            Exception: Any other error of the worker, which is a bug.
        """
        name = escape_name(name)
        try:
            response = outcome.result()
        except ApiError as error:
            return cls(index=index, name=name, status="unreadable", problem=str(error))
        fields = response.model_dump(exclude={"seconds"})
        return cls(index=index, name=name, problem="", **fields)


class PredictListResponse(BaseModel):
    """The predictions for several images."""

    images: list[ImageResult] = Field(description="The images, in the order of the request.")
    seconds: float = Field(description="Seconds since the upload was complete.")


class ErrorResponse(BaseModel):
    """The reason why a request failed."""

    error: str = Field(description="Error code, for programs.")
    expected: str = Field(description="The kind of request that the server would have accepted.")
    found: str = Field(description="The mismatch in this request, or the server's problem.")
    fix: str = Field(description="The way to correct it.")
    message: str = Field(description="The three parts above as one sentence.")


class ValidationScore(BaseModel):
    """Accuracy on the validation split, which chose the epoch: expect less on new images."""

    accuracy: float = Field(description="Share of images that are classified correctly, 0 to 1.")
    interval: tuple[float, float] = Field(
        description="95% confidence interval of the accuracy, over images."
    )
    majority_baseline: float = Field(
        description="Accuracy of always predicting the most frequent class."
    )


class UploadLimits(BaseModel):
    """Limits on uploaded images and films."""

    bytes: int = Field(description="Maximum size of an image's file.")
    pixels: int = Field(description="Maximum number of pixels, by the image's header.")
    formats: str = Field(description="Accepted formats, recognised by content, not by file name.")
    files: int = Field(description="Maximum number of images in one request.")
    film_bytes: int = Field(description="Maximum size of a film; 0 if none are accepted.")


class ModelInfo(BaseModel):
    """The network that makes the predictions."""

    name: str = Field(description="Backbone and variant.")
    classes: list[str] = Field(description="All classes that it can predict.")
    image_size: int = Field(description="Side of the network's input, pixels.")
    native_size: int = Field(description="Side of the stored training images, pixels.")
    channels: Literal["grey", "rgb"] = Field(
        description="Whether the network sees images in grey or in colour."
    )
    trained_on: str = Field(
        description="Source of the training images, and of those behind the initial weights."
    )
    temperature: float = Field(description="Calibration temperature; 1 if not calibrated.")
    unsure_below: float = Field(
        description="Probability of the leaning below which a prediction is 'unsure'."
    )
    face_threshold: float = Field(
        description="Confidence of the face detector above which a detection counts as a face."
    )
    validation: ValidationScore | None = Field(
        description="Validation results; null if none are stored with the network."
    )
    limits: UploadLimits = Field(description="Limits on the images that it accepts.")
    engine: str = Field(
        description="What runs the network for predictions; heatmaps are computed by JAX."
    )
    version: str = Field(description="Version of faceemo.")


class Health(BaseModel):
    """The state of the server."""

    status: Literal["ok"] = Field(
        description="Always 'ok': a server that has failed does not respond."
    )
    requests: int = Field(description="Requests that are being received, waiting or processed.")
    places: int = Field(description="Maximum number of such requests.")
