"""Collects the images behind each cell of the confusion matrix, the greatest loss first."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from faceemo.analysis.predictions import Predictions, cross_entropies
from faceemo.analysis.theme import palette, template
from faceemo.analysis.theme.text import split_common_folder

# The images of all cells together are limited so that the page stays within a few megabytes.
_MAX_IMAGES, _MIN_PER_CELL, _MAX_PER_CELL = 400, 6, 24
_MAX_OPACITY = 0.7  # where the heat is greatest: the face stays visible


@dataclasses.dataclass(frozen=True)
class GalleryExtras:
    """Optional material that the gallery shows along with the predictions.

    Attributes:
        label_scores: Maps an image's path to the out-of-fold probability of its label; images whose
            labels were not judged are missing.
        heat: Computes Grad-CAM maps (`gradcam.make_heat`); None leaves the maps out.
        named_in: The zip, folder or csv in which the images have their names; empty if unknown.
    """

    label_scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    heat: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    named_in: str = ""


def cell_id(true: int, predicted: int) -> str:
    """Returns the id of a cell's gallery on the page."""
    return f"cell-{true}-{predicted}"


def make_cells(predictions: Predictions, extras: GalleryExtras) -> list[dict[str, Any]]:
    """Collects every cell that holds images: mistakes first, the most frequent ones leading.

    Returns:
        For each cell: id, true, predicted, count, support (images of the true class), folder and
        images; for each image: source, heat (or None), path, name, probability (of the predicted
        class), true_probability (of the true class), loss, label_score (or None). A cell has at
        most 24 images, fewer if there are many classes, in descending order of loss.
    """
    predicted, loss = predictions.predicted, cross_entropies(predictions)
    side = len(predictions.classes)
    limit = min(max(_MAX_IMAGES // side**2, _MIN_PER_CELL), _MAX_PER_CELL)
    support = np.bincount(predictions.labels, minlength=side)
    found = []
    for true, other in np.ndindex(side, side):
        indexes = np.flatnonzero((predictions.labels == true) & (predicted == other))
        if indexes.size:
            found.append((true, other, indexes[np.argsort(-loss[indexes], kind="stable")]))
    found.sort(key=lambda cell: (cell[0] == cell[1], -cell[2].size))
    shown = np.concatenate([indexes[:limit] for _, _, indexes in found])
    heat = dict(zip(shown.tolist(), _draw_heat(predictions, shown, extras), strict=True))
    return [
        {
            "id": cell_id(true, other),
            "true": predictions.classes[true],
            "predicted": predictions.classes[other],
            "count": len(indexes),
            "support": int(support[true]),
            **_list_images(predictions, indexes[:limit], loss, heat, extras),
        }
        for true, other, indexes in found
    ]


def _list_images(
    predictions: Predictions,
    indexes: np.ndarray,
    loss: np.ndarray,
    heat: Mapping[int, str | None],
    extras: GalleryExtras,
) -> dict[str, Any]:
    folder, names = split_common_folder([predictions.names[index] for index in indexes])
    images = [
        {
            "source": template.image_uri(predictions.images[index]),
            "heat": heat[index],
            "path": predictions.names[index],
            "name": name,
            "probability": float(predictions.confidence[index]),
            "true_probability": float(predictions.probabilities[index, predictions.labels[index]]),
            "loss": float(loss[index]),
            "label_score": extras.label_scores.get(predictions.paths[index]),
        }
        for index, name in zip(indexes.tolist(), names, strict=True)
    ]
    return {"folder": folder, "images": images}


def _draw_heat(
    predictions: Predictions, indexes: np.ndarray, extras: GalleryExtras
) -> list[str | None]:
    """Returns the heat map of each image as a transparent PNG at the map's own resolution."""
    if extras.heat is None:
        return [None] * len(indexes)
    maps = extras.heat(predictions.images[indexes], predictions.predicted[indexes])
    colour = np.array(to_rgb(palette.LIGHT.second)) * 255
    pixels = np.empty((*maps.shape, 4), np.uint8)
    pixels[..., :3] = colour.round()
    pixels[..., 3] = (255 * _MAX_OPACITY * maps).round()
    return [template.png_uri(template.encode_png(Image.fromarray(one, "RGBA"))) for one in pixels]
