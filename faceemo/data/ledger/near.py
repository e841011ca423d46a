"""Near duplicates: pairs with near hashes are candidates, their pixels decide.

A difference hash of 64 bits captures the coarse light and shade of a face, which unrelated faces
share. Two versions of one photo, but not unrelated faces, share the fine structure: the images at
48x48 less their blurred selves, compared by correlation, which ignores brightness and contrast. On
the real set (18,794 distinct images) 100,000 unrelated pairs, all with near hashes, have a median
of 0.28, and one in a thousand exceeds 0.63. At most 4 bits apart, all 55 inspected pairs with a
similarity of 0.6 or more (mirrored: 0.7 or more) show the same photo. The default is therefore 0.7.
"""

import collections
import concurrent.futures
import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from faceemo.data.ledger import hamming_pairs
from faceemo.data.ledger.ledger import Likeness, Row
from faceemo.data.measure import hashing, thumbnails

# Pairs are recorded up to these bounds, so that rules within them can change without pixels.
MAX_DISTANCE = 4  # bits in which the hashes differ
MIN_SIMILARITY = 0.5

SIDE = thumbnails.SIDE  # at which images are compared, pixels
_BLUR = 4.0  # standard deviation, pixels
_MAX_BLANKNESS = 0.9  # images that show less have nothing to compare
_PART = 64  # images that a thread reads at a time
_BATCH_PAIRS = 5_000  # compared at a time: at most 10,000 images of 9 kB, and their flips


def find_likenesses(
    rows: Sequence[Row], read: Callable[[Row], np.ndarray]
) -> dict[str, tuple[Likeness, ...]]:
    """Finds the pairs of images with near hashes and measures how alike they are.

    Args:
        rows: Rows with their measured fields. Images with the same pixels count as one: their
            first path stands for all.
        read: Function that returns the grey image of a row, uint8 [48, 48]. Several threads call
            it, and for some rows more than once.

    Returns:
        Likenesses by `pixels_sha256`, without images that have none. Every pair is recorded for
        both of its images, so that any selection of rows holds all about the pairs within it.
    """
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.path):
        if row.pixels_sha256 and row.blank is not None and row.blank < _MAX_BLANKNESS:
            first.setdefault(row.pixels_sha256, row)
    images = sorted(first.values(), key=lambda row: row.path)
    plain = hashing.from_hex([image.dhash or "" for image in images])
    mirrored = hashing.from_hex([image.dhash_mirrored or "" for image in images])
    # They are searched twice, because a search takes little time and their list much memory.
    total = sum(map(len, _find_candidates(plain, mirrored)))
    found = collections.defaultdict(list)

    def read_part(indexes: np.ndarray) -> list[np.ndarray]:
        return [read(images[index]) for index in indexes]

    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=total, desc="near duplicates", unit="pair", disable=None) as progress,
    ):
        for batch in _make_batches(_find_candidates(plain, mirrored)):
            indexes = np.unique(batch[:, :2]).tolist()
            parts = np.array_split(indexes, -(-len(indexes) // _PART))
            pixels = itertools.chain(*pool.map(read_part, parts))
            for one, other, distance, flipped, similarity in _compare(
                batch, dict(zip(indexes, pixels, strict=True))
            ):
                for here, there in ((one, other), (other, one)):
                    likeness = Likeness(
                        pixels_sha256=images[there].pixels_sha256 or "",
                        path=images[there].path,
                        distance=distance,
                        similarity=similarity,
                        mirrored=bool(flipped),
                    )
                    found[images[here].pixels_sha256 or ""].append(likeness)
            progress.update(len(batch))
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


def _compare(
    pairs: np.ndarray, pixels: dict[int, np.ndarray]
) -> Iterator[tuple[int, int, int, int, float]]:
    """Yields the pairs whose similarity is at least `MIN_SIMILARITY`, with it.

    Args:
        pairs: int64 [P, 4] of first, second, distance, mirrored.
        pixels: Image of each index, uint8 [48, 48].
    """
    structures: dict[tuple[int, int], np.ndarray] = {}

    def extract(index: int, flipped: int) -> np.ndarray:
        if (index, flipped) not in structures:
            image = pixels[index][:, ::-1] if flipped else pixels[index]
            structures[index, flipped] = extract_fine_structure(image)
        return structures[index, flipped]

    for one, other, distance, mirrored in pairs.tolist():
        similarity = round(float(extract(one, 0) @ extract(other, mirrored)), 4)
        if similarity >= MIN_SIMILARITY:
            yield one, other, distance, mirrored, similarity


def _make_batches(chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Cuts and joins rows of chunks so that all batches but the last have `_BATCH_PAIRS` rows."""
    waiting: list[np.ndarray] = []
    count = 0
    for chunk in chunks:
        waiting.append(chunk)
        count += len(chunk)
        if count >= _BATCH_PAIRS:
            joined = np.concatenate(waiting)
            count %= _BATCH_PAIRS
            whole = len(joined) - count
            yield from np.split(joined[:whole], whole // _BATCH_PAIRS)
            waiting = [joined[whole:]]
    if count:
        yield np.concatenate(waiting)


def _find_candidates(plain: np.ndarray, mirrored: np.ndarray) -> Iterator[np.ndarray]:
    """Finds pairs of images with near hashes.

    Args:
        plain: Hashes of the images, uint64 [N].
        mirrored: Hashes of the flipped images, uint64 [N].

    Yields:
        int64 [P, 4] of first, second (larger), distance, and 1 for mirrored pairs.
    """
    count = len(plain)
    for first, second in hamming_pairs.iterate_pairs(plain, MAX_DISTANCE):
        distance = np.bitwise_count(plain[first] ^ plain[second])
        yield np.stack([first, second, distance, np.zeros_like(first)], axis=1)
    # one as it is, the other flipped; the flip of a hash is not quite the hash of the flip
    both = np.concatenate([plain, mirrored])
    for one, other in hamming_pairs.iterate_pairs(both, MAX_DISTANCE):
        across = (one < count) & (other >= count) & (other - count != one)
        one, flipped = one[across], other[across] - count
        # A pair whose two images are each near the other's flip comes twice, and counts once.
        again = one > flipped
        again[again] = (
            np.bitwise_count(plain[flipped[again]] ^ mirrored[one[again]]) <= MAX_DISTANCE
        )
        first, second = np.sort(np.stack([one[~again], flipped[~again]]), axis=0)
        distance = np.minimum(
            np.bitwise_count(plain[first] ^ mirrored[second]),
            np.bitwise_count(plain[second] ^ mirrored[first]),
        )
        yield np.stack([first, second, distance, np.ones_like(first)], axis=1)
