"""Grad-CAM as a picture to lay over a face."""

from collections.abc import Callable

import matplotlib
import numpy as np
from PIL import Image

from faceemo.analysis import gradcam, template
from faceemo.inference.explain import opaque
from faceemo.inference.faces import Face
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import Predictor

_SIDE = 96  # pixels: a map has a few points a side, and browsers draw it larger smoothly


def make_heat_png(predictor: Predictor) -> Callable[[Face, Prediction], bytes]:
    """Makes `heat_png(face, answer)`: an RGBA PNG, transparent where there is no evidence."""
    known = predictor.trained
    heat_of = gradcam.make_heat(known.model, known.preprocessing, known.variables, batch=1)

    def heat_png(face: Face, answer: Prediction) -> bytes:
        best = predictor.classes.index(answer.leaning or "")
        (heat,) = heat_of(face.crop[None], np.array([best]))
        return png_of(heat)

    return heat_png


def png_of(heat: np.ndarray) -> bytes:
    """The picture of a map, float32 [h, w], 0..1."""
    smooth = Image.fromarray(heat).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    share = np.clip(np.asarray(smooth), 0, 1)
    shades = matplotlib.colormaps["inferno"](share)
    shades[..., 3] = opaque(share)
    return template.png(Image.fromarray((shades * 255).round().astype(np.uint8)))
