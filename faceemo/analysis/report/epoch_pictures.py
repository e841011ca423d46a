"""Draws the pictures of one epoch that TensorBoard shows."""

import numpy as np

from faceemo.analysis.predictions import Predictions, compute_scores
from faceemo.analysis.report.confusion_matrix import draw_confusion_matrix
from faceemo.analysis.report.misclassified import draw_worst
from faceemo.analysis.theme import style

_DPI = 120  # pixels per inch: readable at the size at which TensorBoard shows pictures


def draw(predictions: Predictions, subtitle: str) -> dict[str, np.ndarray]:
    """Draws the confusion matrix and the misclassified images with the greatest loss.

    Args:
        predictions: Predictions on validation.
        subtitle: Model, images and epoch.

    Returns:
        Pictures, uint8 [H, W, 3], by their names in TensorBoard.
    """
    scores = compute_scores(predictions)
    figures = {
        "validation/confusion_matrix": draw_confusion_matrix(scores, subtitle=subtitle),
        "validation/misclassified": draw_worst(
            predictions, subtitle=f"{subtitle}, before calibration"
        ),
    }
    return {name: style.to_pixels(figure, _DPI) for name, figure in figures.items()}
