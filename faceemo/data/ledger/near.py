"""Near duplicates: hashes that are near propose a pair, the pixels themselves decide.

A difference hash of 64 bits knows the coarse light and shade of a face, which unrelated faces
share. What two versions of one photograph share, and unrelated faces do not, is the fine
structure: the images at 48x48 less their blurred selves, compared by correlation, which ignores
brightness and contrast. On the real set (18,794 distinct images) 100,000 unrelated pairs, all
with near hashes, have a median of 0.28, and one in a thousand exceeds 0.63; of the pairs from 0.6
on at a distance of at most 4 all 55 that were looked at show the same photograph, mirrored ones
from 0.7 on. Hence the default.
"""

import collections
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from faceemo.data.ledger import hamming_pairs
from faceemo.data.ledger.ledger import Likeness, Row
from faceemo.data.measure import hashing

FARTHEST = 4  # bits up to which pairs are measured, so that rules can be changed without pixels
LEAST = 0.5  # similarity from which on they are noted

SIDE = 48  # at which images are compared, pixels
_BLUR = 4.0  # pixels, standard deviation
_BLANK = 0.9  # images with less to see than this have nothing to compare
_PAIRS = 20_000  # compared at a time: at most 40,000 images of 9 kB


def likenesses(
    rows: Sequence[Row], read: Callable[[Row], np.ndarray]
) -> dict[str, tuple[Likeness, ...]]:
    """The pairs of images whose hashes are near, and how alike they are.

    Args:
        rows: with their measured fields. Images with the same pixels count as one: their first
            path stands for all.
        read: the grey image of a row, uint8 [48, 48].

    Returns:
        {pixels_sha256: its likenesses}, those without any left out. Every pair stands on both
        sides, so that any selection of rows holds all there is to know of the pairs within it.
    """
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.path):
        if row.pixels_sha256 and row.blank is not None and row.blank < _BLANK:
            first.setdefault(row.pixels_sha256, row)
    images = sorted(first.values(), key=lambda row: row.path)
    proposed = _proposed(images)
    found = collections.defaultdict(list)
    for start in range(0, len(proposed), _PAIRS):
        some = proposed[start : start + _PAIRS]
        pixels = {index: read(images[index]) for index in np.unique(some[:, :2])}
        for one, other, distance, mirrored in some.tolist():
            flipped = pixels[other][:, ::-1] if mirrored else pixels[other]
            similarity = round(float(fine(pixels[one]) @ fine(flipped)), 4)
            if similarity >= LEAST:
                for here, there in ((one, other), (other, one)):
                    likeness = Likeness(
                        pixels_sha256=images[there].pixels_sha256 or "",
                        path=images[there].path,
                        distance=distance,
                        similarity=similarity,
                        mirrored=bool(mirrored),
                    )
                    found[images[here].pixels_sha256 or ""].append(likeness)
    return {
        pixels: tuple(sorted(some, key=lambda one: (one.path, one.mirrored)))
        for pixels, some in found.items()
    }


def matches(likeness: Likeness, distance: int, similarity: float) -> bool:
    """Whether two images count as the same photograph."""
    return likeness.distance <= distance and likeness.similarity >= similarity


def fine(grey: np.ndarray) -> np.ndarray:
    """The fine structure of uint8 [48, 48]: float32 [2304] of length 1, or 0 if there is none."""
    light = grey.astype(np.float32)
    light -= cv2.GaussianBlur(light, (0, 0), _BLUR)
    light -= light.mean()
    length = float(np.linalg.norm(light))
    return (light / length if length > 0 else light).ravel()


def _proposed(images: Sequence[Row]) -> np.ndarray:
    """Pairs with near hashes: int64 [P, 4] of first, second (larger), distance, mirrored."""
    count = len(images)
    plain = hashing.from_hex([image.dhash or "" for image in images])
    mirrored = hashing.from_hex([image.dhash_mirrored or "" for image in images])
    first, second, distance = hamming_pairs.pairs_within(plain, FARTHEST)
    straight = np.stack([first, second, distance, np.zeros_like(first)], axis=1)
    # one as it is, the other flipped; the flip of a hash is not quite the hash of the flip
    one, other, _ = hamming_pairs.pairs_within(np.concatenate([plain, mirrored]), FARTHEST)
    across = (one < count) & (other >= count) & (other - count != one)
    ends = np.sort(np.stack([one[across], other[across] - count], axis=1), axis=1)
    ends = np.unique(ends, axis=0)
    first, second = ends[:, 0], ends[:, 1]
    distance = np.minimum(
        np.bitwise_count(plain[first] ^ mirrored[second]),
        np.bitwise_count(plain[second] ^ mirrored[first]),
    )
    flipped = np.stack([first, second, distance, np.ones_like(first)], axis=1)
    return np.concatenate([straight, flipped])
