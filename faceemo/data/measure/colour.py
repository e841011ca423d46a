"""Colour of images: whether they show any, which the number of channels does not tell."""

import numpy as np
from PIL import Image

# Distance of the largest from the smallest channel above which a pixel has colour: the chroma of
# JPEGs that were made of grey pixels stays within it.
_TINT = 12
_SHARE = 0.02  # of the pixels, from which an image shows colour


def shows_colour(pixels: np.ndarray) -> bool:
    """Returns whether an image shows colour.

    Args:
        pixels: uint8 [H, W, 3], RGB, reduced to few pixels, so that noise of single ones averages
            out.
    """
    tints = np.ptp(pixels.astype(np.int16), axis=-1)
    return bool((tints > _TINT).mean() >= _SHARE)


def to_grey_levels(images: np.ndarray) -> np.ndarray:
    """Returns the grey levels of images, uint8 [N, S, S], as Pillow computes them.

    Args:
        images: uint8 [N, S, S], which are returned as they are, or [N, S, S, 3], RGB.
    """
    if images.ndim == 3:
        return images
    grey = np.empty(images.shape[:3], np.uint8)
    for row, image in enumerate(images):
        grey[row] = np.asarray(Image.fromarray(image).convert("L"))
    return grey


def count_colourless(images: np.ndarray) -> int:
    """Counts the images, of uint8 [N, S, S, 3], whose three channels are equal."""
    return sum(
        bool((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all())
        for image in images
    )
