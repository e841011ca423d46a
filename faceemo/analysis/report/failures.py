"""The images behind each cell of the confusion matrix, the worst answers first."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from faceemo.analysis.predictions import Predictions, losses
from faceemo.analysis.report.figures import folder_and_names
from faceemo.analysis.theme import style, template

# Images on a page, over all cells: so that it stays within a few megabytes.
_PAGE, _LEAST, _MOST = 400, 6, 24
_OPAQUE = 0.7  # of the heat where it is greatest: the face stays visible


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of the images beside the answers.

    Attributes:
        label_scores: path -> out-of-fold probability of its label, of those that were judged.
        heat: of `gradcam.make_heat`; None leaves the maps out.
    """

    label_scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    heat: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


def link(true: int, predicted: int) -> str:
    """The name of a cell on the page."""
    return f"cell-{true}-{predicted}"


def cells(predictions: Predictions, known: Known) -> list[dict[str, Any]]:
    """Every cell that holds images: mistakes first, the most frequent first, then right answers.

    Returns:
        for each: link, true, predicted, count, support (images of the true class), folder,
        images; of these: source, heat (or None), path, name, probability (of the answer),
        of_true, loss, label_score (or None). At most 24 images a cell, fewer with many classes;
        in order of loss, the greatest first.
    """
    answers, loss = predictions.predicted, losses(predictions)
    side = len(predictions.classes)
    most = min(max(_PAGE // side**2, _LEAST), _MOST)
    support = np.bincount(predictions.labels, minlength=side)
    found = []
    for true, predicted in np.ndindex(side, side):
        indexes = np.flatnonzero((predictions.labels == true) & (answers == predicted))
        if indexes.size:
            found.append((true, predicted, indexes[np.argsort(-loss[indexes], kind="stable")]))
    found.sort(key=lambda cell: (cell[0] == cell[1], -cell[2].size))
    shown = np.concatenate([indexes[:most] for _, _, indexes in found])
    heat = dict(zip(shown.tolist(), _heat(predictions, shown, known), strict=True))
    return [
        {
            "link": link(true, predicted),
            "true": predictions.classes[true],
            "predicted": predictions.classes[predicted],
            "count": len(indexes),
            "support": int(support[true]),
            **_images(predictions, indexes[:most], loss, heat, known),
        }
        for true, predicted, indexes in found
    ]


def _images(
    predictions: Predictions,
    indexes: np.ndarray,
    loss: np.ndarray,
    heat: Mapping[int, str | None],
    known: Known,
) -> dict[str, Any]:
    folder, names = folder_and_names([predictions.paths[index] for index in indexes])
    images = [
        {
            "source": template.face(predictions.images[index]),
            "heat": heat[index],
            "path": predictions.paths[index],
            "name": name,
            "probability": float(predictions.confidence[index]),
            "of_true": float(predictions.probabilities[index, predictions.labels[index]]),
            "loss": float(loss[index]),
            "label_score": known.label_scores.get(predictions.paths[index]),
        }
        for index, name in zip(indexes.tolist(), names, strict=True)
    ]
    return {"folder": folder, "images": images}


def _heat(predictions: Predictions, indexes: np.ndarray, known: Known) -> list[str | None]:
    """Of each image a transparent picture, at the map's own resolution: the page enlarges it."""
    if known.heat is None:
        return [None] * len(indexes)
    maps = known.heat(predictions.images[indexes], predictions.predicted[indexes])
    colour = np.array(to_rgb(style.LIGHT.second)) * 255
    pictures = np.empty((*maps.shape, 4), np.uint8)
    pictures[..., :3] = colour.round()
    pictures[..., 3] = (255 * _OPAQUE * maps).round()
    return [template.uri(template.png(Image.fromarray(one, "RGBA"))) for one in pictures]
