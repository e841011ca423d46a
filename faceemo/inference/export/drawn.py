"""Drawn faces, on which an exported file is compared with its network where no images are given."""

import numpy as np
from PIL import Image

from faceemo.config import CLASSES
from faceemo.data.measure.decode import resize_square
from faceemo.data.sample.draw_face import draw_face


def draw_faces(count: int, side: int) -> np.ndarray:
    """Draws the same faces at every call, uint8 [count, side, side], their emotions in turn."""
    return np.stack(
        [
            resize_square(
                Image.fromarray(
                    draw_face(np.random.default_rng(number), CLASSES[number % len(CLASSES)])
                ),
                side,
            )
            for number in range(count)
        ]
    )
