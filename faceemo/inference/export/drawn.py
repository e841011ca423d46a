"""Drawn faces, on which an exported file is compared with its network where no images are given."""

import numpy as np
from PIL import Image

from faceemo.config import CLASSES, ImageFormat
from faceemo.data.measure.decode import resize_square
from faceemo.data.sample.draw_face import draw_face


def draw_faces(count: int, form: ImageFormat) -> np.ndarray:
    """Draws the same faces at every call, their emotions in turn.

    Returns:
        uint8 [count, S, S], or [count, S, S, 3], in which each face has a tint of its own.
    """
    return np.stack([_draw(number, form) for number in range(count)])


def _draw(number: int, form: ImageFormat) -> np.ndarray:
    drawn = draw_face(np.random.default_rng(number), CLASSES[number % len(CLASSES)])
    grey = resize_square(Image.fromarray(drawn), form.size)
    if not form.in_colour:
        return grey
    tint = np.random.default_rng([number, 1]).uniform(0.4, 1, 3)
    return (grey[..., None] * tint).astype(np.uint8)
