"""What the images of each class look like on the whole: mean face, brightness, contrast."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from faceemo.data.measure.decode import decode

SIDE = 48  # pixels of a mean face: what FER2013's images have


@dataclasses.dataclass(frozen=True, eq=False)
class Looks:
    """Measures of N images; an image that does not decode has NaN everywhere.

    Attributes:
        paths: of N images.
        brightness: float32 [N], the mean grey level, 0 (black) to 255 (white).
        contrast: float32 [N], the standard deviation of the grey levels, 0 (one grey) to 127.5.
        mean_faces: class -> float64 [SIDE, SIDE], 0..255, over its images that decode; a class
            without any is missing.
    """

    paths: tuple[str, ...]
    brightness: np.ndarray
    contrast: np.ndarray
    mean_faces: dict[str, np.ndarray]


def measure(folder: Path, paths: Sequence[str]) -> Looks:
    """Reads every image once; the memory needed does not grow with their size.

    Args:
        folder: that holds them.
        paths: below it, as <split>/<class>/<image>.
    """
    brightness = np.full(len(paths), np.nan, np.float32)
    contrast = brightness.copy()
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    for index, path in enumerate(tqdm(paths, "looks", disable=None)):
        grey = read(folder / path)
        if grey is None:
            continue
        label = path.split("/")[1]
        brightness[index], contrast[index] = grey.mean(), grey.std()
        if grey.shape != (SIDE, SIDE):
            grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        sums[label] = sums.get(label, 0.0) + grey.astype(np.float64)
        counts[label] = counts.get(label, 0) + 1
    means = {label: total / counts[label] for label, total in sums.items()}
    return Looks(tuple(paths), brightness, contrast, means)


def read(path: Path) -> np.ndarray | None:
    """The grey pixels of a file, uint8 [H, W], as training sees them; None if it has none."""
    pixels = decode(path.read_bytes()).pixels
    return pixels.grey if pixels else None
