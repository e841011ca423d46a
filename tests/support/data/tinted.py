"""Drawn faces in colour, of classes that nothing but the colour tells apart."""

import numpy as np
from PIL import Image

from faceemo.config import CLASSES
from faceemo.data.sample.draw_face import draw_face

_LUMA = np.array([0.299, 0.587, 0.114])  # Pillow's
TINTS = {"cold": (0.55, 0.95, 1.35), "warm": (1.35, 0.9, 0.6)}


def draw_tinted(label, number, side):
    """Draws a face of any emotion, uint8 [side, side, 3], as bright as in the other class."""
    rng = np.random.default_rng([sorted(TINTS).index(label), number])
    grey = Image.fromarray(draw_face(rng, CLASSES[number % len(CLASSES)]))
    tint = np.array(TINTS[label]) / (_LUMA @ TINTS[label]) * 0.7
    wide = np.asarray(grey.resize((side, side), Image.Resampling.BICUBIC))[..., None] * tint
    return np.clip(wide, 0, 255).round().astype(np.uint8)


def write_tinted(folder, counts, side=72):
    """Writes folder/SPLIT/CLASS/NUMBER.png for counts {split: images a class}."""
    first = 0
    for split, count in counts.items():
        for label in TINTS:
            below = folder / split / label
            below.mkdir(parents=True)
            for number in range(first, first + count):
                Image.fromarray(draw_tinted(label, number, side)).save(below / f"{number}.png")
        first += count
    return folder
