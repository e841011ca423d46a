"""Predictions drawn into the image that they are about."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from faceemo.analysis.theme import palette, style
from faceemo.inference.prediction import NO_FACE, OK, Prediction

_MIN_SIDE = 480  # pixels of the longer side, from which on letters are legible
_COLOURS = palette.LIGHT


def compute_scale(height: int, width: int) -> int:
    """Returns the smallest whole factor that makes letters legible in an image of this size."""
    return max(1, -(-_MIN_SIDE // max(height, width)))


def annotate(rgb: np.ndarray, predictions: Sequence[Prediction], reduction: int = 1) -> np.ndarray:
    """Draws each face's box and emotion, in blue if it is sure and in grey otherwise.

    Args:
        rgb: The image, uint8 [H, W, 3].
        predictions: The predictions for this image.
        reduction: How many times as long the sides are of the image that the boxes refer to.

    Returns:
        The annotated image, uint8 [k H, k W, 3], with the factor k of `compute_scale`.
    """
    height, width = rgb.shape[:2]
    scale = compute_scale(height, width)
    image = Image.fromarray(rgb).resize((width * scale, height * scale), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    # the surest last, so that it is on top where boxes overlap
    for one in sorted(predictions, key=lambda prediction: prediction.probability or 0):
        _draw(pen, image.size, one, scale / reduction)
    return np.asarray(image)


def format_caption(prediction: Prediction) -> str:
    """Formats a prediction as 'happy 91%', 'unsure: sad 41%' or 'no face found'.

    In a film it begins with the number of the face, as in '2: happy 91%'.
    """
    if prediction.status == NO_FACE:
        return "no face found"
    doubt = "" if prediction.status == OK else "unsure: "
    number = "" if prediction.track is None else f"{prediction.track}: "
    return f"{number}{doubt}{prediction.leaning} {prediction.probability:.0%}"


def _draw(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], prediction: Prediction, scale: float
) -> None:
    width, height = size
    colour = _COLOURS.first if prediction.status == OK else _COLOURS.muted
    line = max(2, round(min(size) / 200))
    left, top, right, bottom = 0, 0, width, height
    if prediction.box:
        left, top, right, bottom = (round(edge * scale) for edge in prediction.box)
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, width) - 1, min(bottom, height) - 1
        if right > left and bottom > top:
            pen.rectangle((left, top, right, bottom), outline=colour, width=line)
    # about as wide as the face, but legible
    letters = int(np.clip((right - left) / 9, 12, max(14, height / 22)))
    font = style.load_font(letters)
    text = style.replace_unprintable(format_caption(prediction))
    pad = letters // 3
    text_width = round(pen.textlength(text, font=font)) + 2 * pad
    text_height = round(letters * 1.25) + pad
    left = max(0, min(left, width - text_width))
    top = top - text_height if top >= text_height else top
    pen.rectangle((left, top, left + text_width, top + text_height), fill=colour)
    middle = (left + pad, top + text_height / 2)
    pen.text(middle, text, fill=palette.text_colour_on(colour), font=font, anchor="lm")
