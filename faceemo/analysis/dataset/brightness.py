"""Measures brightness and contrast of images, and the mean face of each class."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from faceemo.data.measure.decode import decode

SIDE = 48  # pixels of a mean face: the side of FER2013's images


@dataclasses.dataclass(frozen=True, eq=False)
class ImageMeasures:
    """Measures of N images; an image that cannot be decoded has NaN everywhere.

    Attributes:
        paths: Paths of the N images.
        brightness: Mean grey level float32 [N], 0 (black) to 255 (white).
        contrast: Standard deviation of the grey levels float32 [N], 0 (one grey) to 127.5.
        mean_faces: Maps a class to the mean of its images, float64 [SIDE, SIDE], 0..255; a class
            without an image that can be decoded is missing.
    """

    paths: tuple[str, ...]
    brightness: np.ndarray
    contrast: np.ndarray
    mean_faces: dict[str, np.ndarray]


def measure(folder: Path, paths: Sequence[str]) -> ImageMeasures:
    """Measures every image; the memory needed does not grow with their number.

    Args:
        folder: Folder of the images.
        paths: Paths below it, as <split>/<class>/<image>.
    """
    brightness = np.full(len(paths), np.nan, np.float32)
    contrast = brightness.copy()
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    for index, path in enumerate(tqdm(paths, "brightness", disable=None)):
        pixels = decode((folder / path).read_bytes()).pixels
        if pixels is None:
            continue
        grey = pixels.grey
        label = path.split("/")[1]
        brightness[index], contrast[index] = grey.mean(), grey.std()
        if grey.shape != (SIDE, SIDE):
            grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        sums[label] = sums.get(label, 0.0) + grey.astype(np.float64)
        counts[label] = counts.get(label, 0) + 1
    means = {label: total / counts[label] for label, total in sums.items()}
    return ImageMeasures(tuple(paths), brightness, contrast, means)
