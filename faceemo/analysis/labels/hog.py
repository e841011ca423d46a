"""Histograms of oriented gradients: features that need neither labels nor pretrained weights."""

import cv2
import numpy as np

from faceemo.data.measure.colour import to_grey_levels

SIDE = 48  # pixels: the side of FER2013's images; others are resized to it
# Windows of 2x2 cells move by one cell; each cell has 9 directions, at a fine and a coarse scale.
_CELLS = (8, 6)  # pixels
_DIRECTIONS = 9


def describe(images: np.ndarray) -> np.ndarray:
    """Computes features float32 [N, 2664] of the grey levels of images.

    Args:
        images: uint8 [N, S, S], or [N, S, S, 3] in colour.

    Source: N. Dalal and B. Triggs, CVPR 2005, as implemented by OpenCV.
    """
    descriptors = [
        cv2.HOGDescriptor(
            (SIDE, SIDE), (2 * cell, 2 * cell), (cell, cell), (cell, cell), _DIRECTIONS
        )
        for cell in _CELLS
    ]
    rows = []
    for image in to_grey_levels(images):
        if image.shape != (SIDE, SIDE):
            image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        rows.append(
            np.concatenate([np.ravel(descriptor.compute(image)) for descriptor in descriptors])
        )
    return np.stack(rows).astype(np.float32, copy=False)
