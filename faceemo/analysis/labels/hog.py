"""What edges an image has where: features of a face that no label and no download went into."""

import cv2
import numpy as np

SIDE = 48  # pixels: FER2013's, to which others are resized
# Windows of 2x2 cells that step by a cell, 9 directions in each cell: once fine, once coarse.
_CELLS = (8, 6)  # pixels
_DIRECTIONS = 9


def describe(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients: float32 [N, 2664] of uint8 images [N, S, S].

    Source: N. Dalal and B. Triggs, CVPR 2005, by OpenCV.
    """
    descriptors = [
        cv2.HOGDescriptor(
            (SIDE, SIDE), (2 * cell, 2 * cell), (cell, cell), (cell, cell), _DIRECTIONS
        )
        for cell in _CELLS
    ]
    rows = []
    for image in images:
        if image.shape != (SIDE, SIDE):
            image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        rows.append(np.concatenate([np.ravel(one.compute(image)) for one in descriptors]))
    return np.stack(rows).astype(np.float32, copy=False)
