"""Pictures to try the demo with: drawn, so that they show nobody."""

import dataclasses
import functools

import numpy as np
from PIL import Image

from faceemo.analysis.theme import template
from faceemo.data.sample.draw_face import draw_face
from faceemo.data.sample.draw_non_face import draw_thing

_SIDE = 240  # pixels of a drawing, which has 48
_SEEDS = {"happy": 52, "neutral": 49, "sad": 48, "surprise": 41}
# Of three faces on one picture: emotion, seed, left, top and side.
_GROUP = (("surprise", 51, 24, 60, 150), ("happy", 43, 210, 30, 190), ("sad", 47, 440, 70, 136))


@dataclasses.dataclass(frozen=True)
class Example:
    """A picture with the name of its file and what it is."""

    name: str
    caption: str
    png: bytes


@functools.cache
def drawn() -> tuple[Example, ...]:
    """One face of each emotion, three in one picture, and none."""
    single = [
        Example(f"{emotion}.png", f"drawn face, {emotion}", _png(_enlarged(_face(emotion, seed))))
        for emotion, seed in _SEEDS.items()
    ]
    group = np.full((250, 600), 190, np.uint8)
    for emotion, seed, left, top, side in _GROUP:
        group[top : top + side, left : left + side] = _enlarged(_face(emotion, seed), side)
    thing = _enlarged(draw_thing(np.random.default_rng(1), "boat"))
    return (
        *single,
        Example("three.png", "three drawn faces in one picture", _png(group)),
        Example("none.png", "a drawing without a face", _png(thing)),
    )


def _face(emotion: str, seed: int) -> np.ndarray:
    return draw_face(np.random.default_rng(seed), emotion)


def _enlarged(drawing: np.ndarray, side: int = _SIDE) -> np.ndarray:
    return np.asarray(Image.fromarray(drawing).resize((side, side), Image.Resampling.BICUBIC))


def _png(pixels: np.ndarray) -> bytes:
    return template.png(Image.fromarray(pixels))
