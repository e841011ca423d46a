"""Answers drawn into the picture that they are about."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from faceemo.analysis.theme import style
from faceemo.inference.prediction import NO_FACE, OK, Prediction

_LEAST = 480  # pixels of the longer side, from which on letters are legible
_COLOURS = style.LIGHT


def scale_of(height: int, width: int) -> int:
    """By which whole number a picture is enlarged so that its letters are legible."""
    return max(1, -(-_LEAST // max(height, width)))


def annotate(rgb: np.ndarray, answers: Sequence[Prediction]) -> np.ndarray:
    """Draws boxes and what each face expresses; in blue what is sure, in grey what is not.

    Args:
        rgb: uint8 [H, W, 3].
        answers: on this picture.

    Returns:
        uint8 [k H, k W, 3], k of `scale_of`.
    """
    height, width = rgb.shape[:2]
    scale = scale_of(height, width)
    image = Image.fromarray(rgb).resize((width * scale, height * scale), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    # the surest last, so that it is on top where boxes crowd
    for one in sorted(answers, key=lambda answer: answer.probability or 0):
        _draw(pen, image.size, one, scale)
    return np.asarray(image)


def caption(one: Prediction) -> str:
    """'happy 91%', 'unsure: sad 41%' or 'no face found'."""
    if one.status == NO_FACE:
        return "no face found"
    doubt = "" if one.status == OK else "unsure: "
    return f"{doubt}{one.leaning} {one.probability:.0%}"


def _draw(pen: ImageDraw.ImageDraw, size: tuple[int, int], one: Prediction, scale: int) -> None:
    width, height = size
    colour = _COLOURS.first if one.status == OK else _COLOURS.muted
    line = max(2, round(min(size) / 200))
    left, top, right, bottom = 0, 0, width, height
    if one.box:
        left, top, right, bottom = (round(edge * scale) for edge in one.box)
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, width) - 1, min(bottom, height) - 1
        if right > left and bottom > top:
            pen.rectangle((left, top, right, bottom), outline=colour, width=line)
    # as wide as the face asks for, but legible
    letters = int(np.clip((right - left) / 9, 12, max(14, height / 22)))
    font = style.letters(letters)
    text = style.printable(caption(one))
    pad = letters // 3
    wide = round(pen.textlength(text, font=font)) + 2 * pad
    high = round(letters * 1.25) + pad
    left = max(0, min(left, width - wide))
    top = top - high if top >= high else top
    pen.rectangle((left, top, left + wide, top + high), fill=colour)
    middle = (left + pad, top + high / 2)
    pen.text(middle, text, fill=style.readable_on(colour), font=font, anchor="lm")
