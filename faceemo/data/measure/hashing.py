"""The difference hash of many images at once, bit for bit that of `imagehash.dhash`.

imagehash shrinks an image to 9x8 with Pillow's Lanczos filter and asks of each pixel whether its
right neighbour is brighter. Pillow does that with whole numbers: it scales the filter's weights by
2**22, rounds them, and rounds to a byte after each of its two passes, one per direction. Such sums
have fewer bits than a float64, so a matrix product in float64 is exact, and hashes a stack of
images of one size at a tenth of the price.

Which pass comes first depends on Pillow's release and on the size. So the first time a size occurs,
random images of it are shrunk by Pillow as well; where neither order gives the same bytes, Pillow
does all the work.
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
_PRECISION = 22  # bits of Pillow's weights behind the point
_UP = np.array([2.0 ** -(_PRECISION + 2), 0, 0, 0])  # how OpenCV takes a number to add
_LOBES = 3  # of the Lanczos filter
# Pixels shrunk together by one thread: 0.9 MB as float64 stay in the cache, and BLAS does not call
# threads of its own.
_CHUNK = 48 * 48 * 48
_FEW = 16  # images of one size that are not worth a comparison with Pillow
_LARGE = 2**16  # pixels of an image from which on Pillow is as fast
_PROBES = 40  # random images per size; the two orders differ in every third pixel


def dhash(images: Sequence[np.ndarray]) -> np.ndarray:
    """The difference hashes of grey images.

    Args:
        images: uint8 [H, W] each, of any sizes: what Pillow's convert("L") gives.

    Returns:
        uint64 [N]; as 16 hexadecimal digits each equals `str(imagehash.dhash(image))`.
    """
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(index)
    if len(by_shape) == 1:
        return _of_one_size(images)
    result = np.empty(len(images), np.uint64)
    for indexes in by_shape.values():
        result[indexes] = _of_one_size([images[index] for index in indexes])
    return result


def _of_one_size(images: Sequence[np.ndarray]) -> np.ndarray:
    """The difference hashes uint64 [N] of images of one size, uint8 [H, W]."""
    height, width = images[0].shape
    order = None
    if len(images) >= _FEW and height * width < _LARGE:
        order = _order(height, width)
    if order is None:
        bits = [imagehash.dhash(Image.fromarray(image)).hash for image in images]
        return _packed(np.array(bits).reshape(-1, _HEIGHT, _WIDTH - 1))
    step = max(1, _CHUNK // (height * width))
    workers = os.cpu_count() or 1
    share = step * max(1, math.ceil(len(images) / step / workers))
    parts = [images[start : start + share] for start in range(0, len(images), share)]
    if len(parts) == 1:
        return _in_chunks(images, step, order)
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(lambda part: _in_chunks(part, step, order), parts)))


def _in_chunks(images: Sequence[np.ndarray], step: int, order: str) -> np.ndarray:
    """The difference hashes uint64 [N] of images of one size, `step` at a time."""
    result = np.empty(len(images), np.uint64)
    for start in range(0, len(images), step):
        some = images[start : start + step]
        grey = np.concatenate(some).reshape(len(some), *some[0].shape)  # np.stack takes twice that
        small = _shrunk(grey, order)
        result[start : start + step] = _packed(small[:, :, 1:] > small[:, :, :-1])
    return result


def to_hex(dhash: int) -> str:
    """As the ledger and imagehash write it."""
    return f"{dhash:016x}"


def from_hex(dhashes: Sequence[str]) -> np.ndarray:
    """The hashes of the ledger as uint64 [N]."""
    return np.array([int(dhash, 16) for dhash in dhashes], np.uint64)


def _packed(bits: np.ndarray) -> np.ndarray:
    """Packs bool [N, 8, 8], first bit highest, as uint64 [N]."""
    return np.packbits(bits.reshape(-1, 64), axis=1).view(">u8")[:, 0].astype(np.uint64)


@functools.lru_cache(maxsize=1024)
def _order(height: int, width: int) -> str | None:
    """Which direction this Pillow shrinks first at this size; None if it does something else."""
    rng = np.random.default_rng(0)
    probes = rng.integers(0, 256, (_PROBES, height, width), np.uint8)
    wanted = [
        np.asarray(Image.fromarray(probe).resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS))
        for probe in probes
    ]
    for order in ("across", "down"):
        if np.array_equal(_shrunk(probes, order), wanted):
            return order
    return None


def _shrunk(grey: np.ndarray, order: str) -> np.ndarray:
    """Grey levels, uint8 [N, H, W], as uint8 [N, 8, 9]."""
    if order == "across":
        return _down(_across(grey))
    return _across(_down(grey))


def _across(grey: np.ndarray) -> np.ndarray:
    count, height, width = grey.shape
    rows = grey.reshape(-1, width).astype(np.float64, copy=False)
    return _rounded(rows @ _weights(width, _WIDTH)).reshape(count, height, _WIDTH)


def _down(grey: np.ndarray) -> np.ndarray:
    count, height, width = grey.shape
    # one large product instead of one for each image
    columns = grey.transpose(1, 0, 2).astype(np.float64, order="C").reshape(height, -1)
    sums = _weights(height, _HEIGHT).T @ columns
    return _rounded(sums).reshape(_HEIGHT, count, width).transpose(1, 0, 2)


def _rounded(sums: np.ndarray) -> np.ndarray:
    """To whole grey levels, uint8, halves up as in Pillow.

    OpenCV rounds halves to even. The sums are whole multiples of 2**-22, so that less than that
    moves no other sum across a half.
    """
    return cv2.add(sums, _UP, dtype=cv2.CV_8U)


@functools.lru_cache(maxsize=1024)
def _weights(length: int, shrunk: int) -> np.ndarray:
    """Pillow's weights for one direction, multiples of 2**-22: float64 [length, shrunk].

    They follow what Pillow computes (libImaging/Resample.c), in the same order of operations: the
    filter is as wide as the reduction, cut off at the borders, and its weights sum to 1.
    """
    scale = length / shrunk
    stretch = max(scale, 1.0)
    support = _LOBES * stretch
    result = np.zeros((length, shrunk))
    for target in range(shrunk):
        centre = (target + 0.5) * scale
        places = range(
            max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), length)
        )
        weights = [_lanczos((place - centre + 0.5) * (1.0 / stretch)) for place in places]
        total = 0.0
        for weight in weights:  # not sum(): from Python 3.12 on it rounds otherwise than C does
            total += weight
        for place, weight in zip(places, weights, strict=True):
            scaled = weight / total * (1 << _PRECISION)
            result[place, target] = int(scaled - 0.5) if scaled < 0 else int(scaled + 0.5)
    return result * 2.0**-_PRECISION


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / _LOBES) if -_LOBES <= x < _LOBES else 0.0


def _sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0
