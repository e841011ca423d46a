"""The description beside an exported file: all that a program without faceemo needs to know.

It says how a photograph becomes the file's input (upright, grey, faces found, a square cut around
each and resized), what the file returns, and when a probability counts as an answer. The numbers
come from the modules that use them.
"""

from typing import Any

import faceemo
from faceemo.assets import catalogue
from faceemo.data.measure import (
    boxes,
    face_detector,
    face_search,
    network,
    second_look,
    small_faces,
)
from faceemo.inference import face_check, faces, prediction
from faceemo.inference.export import places
from faceemo.train.checkpoint.trained_model import TrainedModel


def describe(trained: TrainedModel) -> dict[str, Any]:
    """Describes what does not depend on the file's format, ready for JSON.

    Args:
        trained: The network.
    """
    config = trained.config
    return {
        "classes": list(trained.classes),
        "image": {
            "orientation": "upright, as EXIF says",
            "channels": "RGB" if trained.image_format.in_colour else "grey",
            "grey": "(19595 R + 38470 G + 7471 B + 32768) >> 16",
            "order": "the channels first, then cut, then resize each of them",
        },
        "crop": _describe_crop(config.native_size),
        "resize": {
            "side": config.native_size,
            "filter": "bilinear",
            "antialias": True,
            "about": "a triangle filter over half-pixel centres, as wide as the reduction where it "
            "shrinks (Pillow's BILINEAR); uint8 in and out",
        },
        "detector": _describe_detector(config.native_size, config.exact_screening),
        "thresholds": {
            "face": config.face_threshold,
            "unsure": prediction.UNSURE_BELOW,
            "about": "a detection is a face if its confidence is above 'face'; the status is "
            "'unsure' if the highest probability is below 'unsure' or 'check' doubts the face, "
            "otherwise 'ok'; 'no_face' if there is no face",
        },
        "check": _describe_check(),
        "image_size": trained.model.image_size,
        "preprocessing": trained.preprocessing.to_dict(),
        "temperature": trained.temperature,
        "best_epoch": trained.best_epoch,
        "config": places.remove_places(trained.recipe["config"]),
        "faceemo": faceemo.__version__,
    }


def _describe_crop(size: int) -> dict[str, Any]:
    """Describes the square that is cut around a face; `size` is the side of its input, pixels."""
    return {
        "square_side_by_box_height": faces.SIDE_PER_HEIGHT,
        "centre": "that of the detector's box",
        "margin": (faces.SIDE_PER_HEIGHT - 1) / 2,
        "padding": "edge",
        "rounding": "side, left and top to the nearest integer, halves to the even one; left is "
        "half of (box left + box right - side), and top likewise",
        "whole_image": {
            "longer_side_at_most": size,
            "or_one_face_and": {
                "longer_by_shorter_side_at_most": faces.MAX_CROP_ASPECT,
                "box_height_by_image_height_at_least": faces.MIN_CROP_HEIGHT,
            },
            "about": "such an image is a crop already: resize all of it, without cutting",
        },
        "about": "'margin' is a share of the box's height on each side; 'padding' repeats the "
        "nearest pixel where the square reaches beyond the image",
    }


def _describe_detector(size: int, exact: bool) -> dict[str, Any]:
    """Describes the search for faces.

    Args:
        size: The side of the network's input, pixels.
        exact: Whether small images are screened at the largest side alone.
    """
    largest = {face_detector.SIDE: 0.0}
    cascade = largest if exact else face_detector.CASCADE | largest
    return {
        "weights": _describe_file("res10.caffemodel"),
        "prototxt": _describe_file("res10.prototxt") | {"replace": face_detector.CORRECTIONS},
        "channels": "BGR",
        "mean": list(network.MEAN),
        "scale": 1.0,
        "resize": "bilinear, not antialiased (OpenCV's INTER_LINEAR)",
        "boxes": "the network's edges, shares of the image, times its width and height, rounded to "
        "hundredths of a pixel",
        "small_image": {
            "longer_side_at_most": size,
            "passes": [
                {"side": side, "enough": confidence} for side, confidence in cascade.items()
            ],
            "about": "the most confident box of the first pass whose confidence is above 'enough'; "
            "the last pass always counts",
        },
        "photograph": {
            "square": face_detector.SIDE,
            "longer_side": face_search.LONGER_SIDE,
            "multiple_of": face_search.STEP,
            "about": "a pass at 'square' by 'square' pixels, and if the longer side is above "
            "'square', one at the image's own size, its longer side at most 'longer_side', both "
            "rounded to multiples of 'multiple_of'; faces come from left to right",
        },
        "suppression": {
            "iou": boxes.SAME_FACE_IOU,
            "inside": boxes.PART_OF_FACE,
            "about": "of two boxes the less confident is dropped if their intersection over union "
            "is above 'iou', or if more than 'inside' of the smaller lies in the larger",
        },
        "tiles": {
            "min_face": max(face_search.MIN_FACE, size),
            **{name.lower(): getattr(small_faces, name) for name in _TILES},
            "about": "a photograph in which the smallest faces would be less than "
            "'smallest_in_tile' pixels high in the passes above is also searched in tiles, which "
            "only add faces; find_faces.py among faceemo's examples shows how",
        },
    }


def _describe_check() -> dict[str, Any]:
    """Describes how a face is judged before its probabilities are."""
    return {
        "side": second_look.SIDE,
        "same_iou": second_look.SAME_IOU,
        **{name.lower(): getattr(face_check, name) for name in _CHECK},
        "reasons": {
            "turned": face_check.TURNED[1],
            "upside_down": face_check.TURNED[2],
            "small": face_check.SMALL,
            "blurred": face_check.BLURRED,
            "unclear": face_check.UNCLEAR,
            "improbable": prediction.IMPROBABLE,
        },
        "about": "the detector looks again at each face alone, at 'side' pixels, with as much "
        "around it as 'portrait' says, 'near' if it is not clear, or 'whole' if the whole image is "
        "the face (where 'same_iou' does not count), and turned by quarters unless it is "
        "'upright'; check_faces.py among faceemo's examples shows how confidences, size and "
        "sharpness decide",
    }


_CHECK = (
    *("UPRIGHT", "CLEAR", "NONE", "PORTRAIT", "NEAR", "WHOLE"),
    *("MIN_SIDE", "MIN_SHARPNESS", "SHARPNESS_SIDE"),
)
_TILES = (
    *("SMALLEST_IN_TILE", "RATIO", "OVERLAP", "MAX_TILE", "STEP", "CANDIDATE", "SURE"),
    *("MAX_UNSURE", "NMS_IOU", "CONTEXT", "CONFIRMED", "SAME_IOU", "MAX_ASPECT", "MAX_EXTENT"),
)


def _describe_file(name: str) -> dict[str, Any]:
    """Describes a file of the detector: its name, and the digests that its publishers' have."""
    asset = catalogue.ASSETS[name]
    digests = {source.digest.removeprefix("sha256:") for source in asset.sources}
    return {"file": asset.filename, "sha256": sorted(digests)}
