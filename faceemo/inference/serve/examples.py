"""Example images for the demo, drawn by a program so that they show no real person."""

import dataclasses
import functools

import numpy as np
from PIL import Image

from faceemo.analysis.theme import template
from faceemo.data.sample.draw_face import draw_face
from faceemo.data.sample.draw_non_face import draw_non_face

_SIDE = 240  # pixels; drawings have 48
_SEEDS = {"happy": 52, "neutral": 49, "sad": 48, "surprise": 41}
# The faces of the group image: emotion, seed, left, top, side.
_GROUP = (("surprise", 51, 24, 60, 150), ("happy", 43, 210, 30, 190), ("sad", 47, 440, 70, 136))


@dataclasses.dataclass(frozen=True)
class Example:
    """An example image.

    Attributes:
        name: File name.
        caption: Description for the page.
        png: The encoded image.
    """

    name: str
    caption: str
    png: bytes


@functools.cache
def make_examples() -> tuple[Example, ...]:
    """Draws one face of each emotion, then an image with three faces, then one without."""
    single = [
        Example(f"{emotion}.png", f"drawn face, {emotion}", _encode(_resize(_draw(emotion, seed))))
        for emotion, seed in _SEEDS.items()
    ]
    group = np.full((250, 600), 190, np.uint8)
    for emotion, seed, left, top, side in _GROUP:
        group[top : top + side, left : left + side] = _resize(_draw(emotion, seed), side)
    boat = _resize(draw_non_face(np.random.default_rng(1), "boat"))
    return (
        *single,
        Example("three.png", "three drawn faces in one image", _encode(group)),
        Example("none.png", "a drawing without a face", _encode(boat)),
    )


def _draw(emotion: str, seed: int) -> np.ndarray:
    return draw_face(np.random.default_rng(seed), emotion)


def _resize(drawing: np.ndarray, side: int = _SIDE) -> np.ndarray:
    return np.asarray(Image.fromarray(drawing).resize((side, side), Image.Resampling.BICUBIC))


def _encode(pixels: np.ndarray) -> bytes:
    return template.encode_png(Image.fromarray(pixels))
