"""Grad-CAM as a picture to lay over a face."""

import functools
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from PIL import Image

from faceemo.analysis.saliency import gradcam
from faceemo.analysis.theme import template
from faceemo.inference.explain import opaque
from faceemo.inference.faces import Face
from faceemo.inference.predictor import LIMIT, Predictor, bucket

MOST = LIMIT  # faces of one picture that get a map: one batch
_SIDE = 96  # pixels: a map has a few points a side, and browsers draw it larger smoothly


def make_heat_pngs(predictor: Predictor) -> Callable[[np.ndarray, Sequence[str]], list[bytes]]:
    """Makes `heat_pngs(crops, leanings)`.

    It takes uint8 [N, S, S] and a class for each, and gives an RGBA PNG for each, transparent where
    nothing speaks for the class. Batches are those of the predictor.
    """
    known = predictor.trained

    @functools.cache
    def heat_of(size: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        return gradcam.make_heat(known.model, known.preprocessing, known.variables, batch=size)

    def heat_pngs(crops: np.ndarray, leanings: Sequence[str]) -> list[bytes]:
        best = np.array([predictor.classes.index(name) for name in leanings])
        found: list[bytes] = []
        for start in range(0, len(crops), LIMIT):
            chosen = slice(start, start + LIMIT)
            heats = heat_of(bucket(len(crops[chosen])))(crops[chosen], best[chosen])
            found += map(png_of, heats)
        return found

    return heat_pngs


def largest(faces: Sequence[Face]) -> list[int]:
    """The places of the faces that get a map, at most `MOST`, by what they take of the picture."""
    return sorted(range(len(faces)), key=lambda place: -_area(faces[place]))[:MOST]


def _area(face: Face) -> float:
    left, top, right, bottom = face.region
    return (right - left) * (bottom - top)


def png_of(heat: np.ndarray) -> bytes:
    """The picture of a map, float32 [h, w], 0..1."""
    smooth = Image.fromarray(heat).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    share = np.clip(np.asarray(smooth), 0, 1)
    shades = matplotlib.colormaps["inferno"](share)
    shades[..., 3] = opaque(share)
    return template.png(Image.fromarray((shades * 255).round().astype(np.uint8)))
