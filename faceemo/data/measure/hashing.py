"""The difference hash of many images at once, bit for bit that of `imagehash.dhash`.

imagehash shrinks an image to 9x8 with Pillow's Lanczos filter and sets a bit for each pixel whose
right neighbour is brighter. Pillow does that with whole numbers: it scales the filter's weights by
2**22, rounds them, and rounds to a byte after each of its two passes, one per direction. Such sums
have fewer bits than a float64, so a matrix product in float64 is exact, and hashes a stack of
images of one size at a tenth of the price.

The order of the passes depends on Pillow's release and on the size. So the first time a size
occurs, random images of it are shrunk by Pillow as well; where neither order gives the same bytes,
Pillow does all the work.
"""

import functools
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import imagehash
import numpy as np
from PIL import Image

_WIDTH, _HEIGHT = 9, 8  # of the shrunk image
_PRECISION = 22  # fractional bits of Pillow's weights
# A quarter of the least step between two sums, as the scalar that cv2.add takes (`_to_bytes`).
_ROUND_HALVES_UP = np.array([2.0 ** -(_PRECISION + 2), 0, 0, 0])
_LOBES = 3  # of the Lanczos filter
# Pixels shrunk together by one thread: 0.9 MB as float64 stay in the cache, and BLAS does not call
# threads of its own.
_CHUNK_PIXELS = 48 * 48 * 48
_MIN_IMAGES = 16  # fewer images of one size are not worth a comparison with Pillow
_MAX_PIXELS = 2**16  # from this size of an image on Pillow is as fast
_PROBES = 40  # random images per size; the two orders differ in every third pixel


def dhash(images: Sequence[np.ndarray]) -> np.ndarray:
    """Computes the difference hashes of grey images.

    Args:
        images: Images of any sizes, uint8 [H, W], as `decode.Pixels.grey`.

    Returns:
        uint64 [N]; written as 16 hexadecimal digits each equals `str(imagehash.dhash(image))`.
    """
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(index)
    if len(by_shape) == 1:
        return _dhash_one_size(images)
    result = np.empty(len(images), np.uint64)
    for indexes in by_shape.values():
        result[indexes] = _dhash_one_size([images[index] for index in indexes])
    return result


def _dhash_one_size(images: Sequence[np.ndarray]) -> np.ndarray:
    """Computes the difference hashes, uint64 [N], of images of one size, uint8 [H, W]."""
    height, width = images[0].shape
    order = None
    if len(images) >= _MIN_IMAGES and height * width < _MAX_PIXELS:
        order = _find_pass_order(height, width)
    if order is None:
        bits = [imagehash.dhash(Image.fromarray(image)).hash for image in images]
        return _pack(np.array(bits).reshape(-1, _HEIGHT, _WIDTH - 1))
    step = max(1, _CHUNK_PIXELS // (height * width))
    workers = os.cpu_count() or 1
    share = step * max(1, math.ceil(len(images) / step / workers))
    parts = [images[start : start + share] for start in range(0, len(images), share)]
    if len(parts) == 1:
        return _dhash_in_chunks(images, step, order)
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(
            list(pool.map(lambda part: _dhash_in_chunks(part, step, order), parts))
        )


def _dhash_in_chunks(images: Sequence[np.ndarray], step: int, order: str) -> np.ndarray:
    """Computes the difference hashes, uint64 [N], of images of one size, `step` at a time."""
    result = np.empty(len(images), np.uint64)
    for start in range(0, len(images), step):
        chunk = images[start : start + step]
        # np.stack takes twice that time
        grey = np.concatenate(chunk).reshape(len(chunk), *chunk[0].shape)
        small = _shrink(grey, order)
        result[start : start + step] = _pack(small[:, :, 1:] > small[:, :, :-1])
    return result


def to_hex(dhash: int) -> str:
    """Writes a hash as the ledger and imagehash do: 16 hexadecimal digits."""
    return f"{dhash:016x}"


def from_hex(dhashes: Sequence[str]) -> np.ndarray:
    """Parses hashes of the ledger: uint64 [N]."""
    return np.array([int(dhash, 16) for dhash in dhashes], np.uint64)


def _pack(bits: np.ndarray) -> np.ndarray:
    """Packs bool [N, 8, 8], first bit highest, as uint64 [N]."""
    return np.packbits(bits.reshape(-1, 64), axis=1).view(">u8")[:, 0].astype(np.uint64)


@functools.lru_cache(maxsize=1024)
def _find_pass_order(height: int, width: int) -> str | None:
    """Finds the direction in which this Pillow shrinks images of this size first.

    Returns:
        'horizontal' or 'vertical'; None if Pillow's result is that of neither order.
    """
    rng = np.random.default_rng(0)
    probes = rng.integers(0, 256, (_PROBES, height, width), np.uint8)
    expected = [
        np.asarray(Image.fromarray(probe).resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS))
        for probe in probes
    ]
    for order in ("horizontal", "vertical"):
        if np.array_equal(_shrink(probes, order), expected):
            return order
    return None


def _shrink(grey: np.ndarray, order: str) -> np.ndarray:
    """Shrinks grey levels, uint8 [N, H, W], to uint8 [N, 8, 9]."""
    if order == "horizontal":
        return _shrink_height(_shrink_width(grey))
    return _shrink_width(_shrink_height(grey))


def _shrink_width(grey: np.ndarray) -> np.ndarray:
    count, height, width = grey.shape
    rows = grey.reshape(-1, width).astype(np.float64, copy=False)
    return _to_bytes(rows @ _lanczos_weights(width, _WIDTH)).reshape(count, height, _WIDTH)


def _shrink_height(grey: np.ndarray) -> np.ndarray:
    count, height, width = grey.shape
    # one large product instead of one for each image
    columns = grey.transpose(1, 0, 2).astype(np.float64, order="C").reshape(height, -1)
    sums = _lanczos_weights(height, _HEIGHT).T @ columns
    return _to_bytes(sums).reshape(_HEIGHT, count, width).transpose(1, 0, 2)


def _to_bytes(sums: np.ndarray) -> np.ndarray:
    """Rounds to whole grey levels, uint8, halves up as in Pillow.

    OpenCV rounds halves to even. The sums are whole multiples of 2**-22, so adding less than that
    moves no other sum across a half.
    """
    return cv2.add(sums, _ROUND_HALVES_UP, dtype=cv2.CV_8U)


@functools.lru_cache(maxsize=1024)
def _lanczos_weights(length: int, shrunk: int) -> np.ndarray:
    """Computes Pillow's weights for one direction, multiples of 2**-22: float64 [length, shrunk].

    They follow Pillow's own computation (libImaging/Resample.c), in the same order of operations:
    the filter is as wide as the reduction, cut off at the borders, and its weights sum to 1.
    """
    scale = length / shrunk
    stretch = max(scale, 1.0)
    support = _LOBES * stretch
    result = np.zeros((length, shrunk))
    for target in range(shrunk):
        centre = (target + 0.5) * scale
        positions = range(
            max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), length)
        )
        weights = [_lanczos((position - centre + 0.5) * (1.0 / stretch)) for position in positions]
        total = 0.0
        for weight in weights:  # not sum(): from Python 3.12 on it rounds otherwise than C does
            total += weight
        for position, weight in zip(positions, weights, strict=True):
            scaled = weight / total * (1 << _PRECISION)
            result[position, target] = int(scaled - 0.5) if scaled < 0 else int(scaled + 0.5)
    return result * 2.0**-_PRECISION


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / _LOBES) if -_LOBES <= x < _LOBES else 0.0


def _sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0
