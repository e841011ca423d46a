"""Grad-CAM heatmaps as PNGs that are laid over the faces."""

import functools
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from PIL import Image

from faceemo.analysis.saliency import gradcam
from faceemo.analysis.theme import template
from faceemo.inference.engine.batches import MAX_BATCH, padded_size
from faceemo.inference.explain import compute_alpha
from faceemo.inference.faces import Face
from faceemo.inference.predictor import Predictor

MAX_HEATMAPS = MAX_BATCH  # per image: as many as fit into one batch
_SIDE = 96  # pixels; a map has only a few values a side, and browsers enlarge it smoothly


def make_render_heatmaps(
    predictor: Predictor,
) -> Callable[[np.ndarray, Sequence[str]], list[bytes]]:
    """Makes `render_heatmaps(crops, labels)`.

    It takes crops in the network's format and the class to explain for each, and returns N RGBA
    PNGs, which are transparent where there is no evidence for the class. Batches are padded as the
    predictor's.
    """

    @functools.cache
    def get_heat(size: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        trained = predictor.trained  # which the engine of predictions may do without
        return gradcam.make_heat(
            trained.model, trained.preprocessing, trained.variables, batch=size
        )

    def render_heatmaps(crops: np.ndarray, labels: Sequence[str]) -> list[bytes]:
        classes = np.array([predictor.classes.index(label) for label in labels])
        pngs: list[bytes] = []
        for start in range(0, len(crops), MAX_BATCH):
            batch = slice(start, start + MAX_BATCH)
            heats = get_heat(padded_size(len(crops[batch])))(crops[batch], classes[batch])
            pngs += map(encode_heatmap, heats)
        return pngs

    return render_heatmaps


def find_largest(faces: Sequence[Face]) -> list[int]:
    """Returns the indices of the at most `MAX_HEATMAPS` faces with the largest regions."""
    return sorted(range(len(faces)), key=lambda index: -_area(faces[index]))[:MAX_HEATMAPS]


def _area(face: Face) -> float:
    left, top, right, bottom = face.region
    return (right - left) * (bottom - top)


def encode_heatmap(heat: np.ndarray) -> bytes:
    """Encodes a map, float32 [h, w] in 0..1, as an RGBA PNG."""
    smooth = Image.fromarray(heat).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    share = np.clip(np.asarray(smooth), 0, 1)
    shades = matplotlib.colormaps["inferno"](share)
    shades[..., 3] = compute_alpha(share)
    return template.encode_png(Image.fromarray((shades * 255).round().astype(np.uint8)))
