"""The pictures that TensorBoard shows of an epoch."""

import numpy as np

from faceemo.analysis.predictions import compute_scores
from faceemo.analysis.report import epoch_pictures
from faceemo.analysis.report.confusion_matrix import draw_confusion_matrix
from faceemo.analysis.report.misclassified import draw_worst
from faceemo.analysis.theme import style


def test_pictures_are_the_figures_in_pixels(predictions):
    found = epoch_pictures.draw(predictions, "tiny, epoch 3")
    figures = {
        "validation/confusion_matrix": draw_confusion_matrix(
            compute_scores(predictions), subtitle="tiny, epoch 3"
        ),
        "validation/misclassified": draw_worst(
            predictions, subtitle="tiny, epoch 3, before calibration"
        ),
    }
    assert found.keys() == figures.keys()
    for name, figure in figures.items():
        expected = style.to_pixels(figure, 120)
        assert expected.dtype == np.uint8
        assert expected.shape[2] == 3
        assert expected.std() > 1
        np.testing.assert_array_equal(found[name], expected)
