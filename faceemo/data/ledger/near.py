"""Near duplicates: pairs with near hashes are candidates, their pixels decide.

A difference hash of 64 bits captures the coarse light and shade of a face, which unrelated faces
share. Two versions of one photo, but not unrelated faces, share the fine structure: the images at
48x48 less their blurred selves, compared by correlation, which ignores brightness and contrast. On
the real set (18,794 distinct images) 100,000 unrelated pairs, all with near hashes, have a median
of 0.28, and one in a thousand exceeds 0.63. At most 4 bits apart, all 55 inspected pairs with a
similarity of 0.6 or more (mirrored: 0.7 or more) show the same photo. The default is therefore 0.7.
"""

import collections
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from faceemo.data.ledger import hamming_pairs
from faceemo.data.ledger.ledger import Likeness, Row
from faceemo.data.measure import hashing

# Pairs are recorded up to these bounds, so that rules within them can change without pixels.
MAX_DISTANCE = 4  # bits in which the hashes differ
MIN_SIMILARITY = 0.5

SIDE = 48  # at which images are compared, pixels
_BLUR = 4.0  # standard deviation, pixels
_MAX_BLANKNESS = 0.9  # images that show less have nothing to compare
_BATCH_PAIRS = 20_000  # compared at a time: at most 40,000 images of 9 kB


def find_likenesses(
    rows: Sequence[Row], read: Callable[[Row], np.ndarray]
) -> dict[str, tuple[Likeness, ...]]:
    """Finds the pairs of images with near hashes and measures how alike they are.

    Args:
        rows: Rows with their measured fields. Images with the same pixels count as one: their
            first path stands for all.
        read: Function that returns the grey image of a row, uint8 [48, 48].

    Returns:
        Likenesses by `pixels_sha256`, without images that have none. Every pair is recorded for
        both of its images, so that any selection of rows holds all about the pairs within it.
    """
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.path):
        if row.pixels_sha256 and row.blank is not None and row.blank < _MAX_BLANKNESS:
            first.setdefault(row.pixels_sha256, row)
    images = sorted(first.values(), key=lambda row: row.path)
    candidates = _find_candidates(images)
    found = collections.defaultdict(list)
    for start in range(0, len(candidates), _BATCH_PAIRS):
        batch = candidates[start : start + _BATCH_PAIRS]
        pixels = {index: read(images[index]) for index in np.unique(batch[:, :2])}
        for one, other, distance, mirrored in batch.tolist():
            flipped = pixels[other][:, ::-1] if mirrored else pixels[other]
            product = extract_fine_structure(pixels[one]) @ extract_fine_structure(flipped)
            similarity = round(float(product), 4)
            if similarity >= MIN_SIMILARITY:
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
        pixels: tuple(sorted(likenesses, key=lambda one: (one.path, one.mirrored)))
        for pixels, likenesses in found.items()
    }


def is_match(likeness: Likeness, max_distance: int, min_similarity: float) -> bool:
    """Returns whether two images count as the same photo."""
    return likeness.distance <= max_distance and likeness.similarity >= min_similarity


def extract_fine_structure(grey: np.ndarray) -> np.ndarray:
    """Extracts the fine structure of uint8 [48, 48].

    Returns:
        float32 [2304] of length 1; zeros if the image has none. The dot product of two is the
        similarity of the images, -1..1.
    """
    light = grey.astype(np.float32)
    light -= cv2.GaussianBlur(light, (0, 0), _BLUR)
    light -= light.mean()
    length = float(np.linalg.norm(light))
    return (light / length if length > 0 else light).ravel()


def _find_candidates(images: Sequence[Row]) -> np.ndarray:
    """Finds pairs with near hashes: int64 [P, 4] of first, second (larger), distance, mirrored."""
    count = len(images)
    plain = hashing.from_hex([image.dhash or "" for image in images])
    mirrored = hashing.from_hex([image.dhash_mirrored or "" for image in images])
    first, second, distance = hamming_pairs.find_pairs(plain, MAX_DISTANCE)
    straight = np.stack([first, second, distance, np.zeros_like(first)], axis=1)
    # one as it is, the other flipped; the flip of a hash is not quite the hash of the flip
    one, other, _ = hamming_pairs.find_pairs(np.concatenate([plain, mirrored]), MAX_DISTANCE)
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
