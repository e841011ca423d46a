"""Search for the small faces of a large photo, tile by tile.

The network finds few faces that are less than 24 pixels high in its input, so a photo that is
shrunk as a whole loses its small faces. Here the photo is cut into tiles that overlap. What the
network finds in a tile, with a low confidence too, is a candidate: a second look at the candidate
alone, enlarged to the network's training size, decides. It finds faces of which a tile is unsure,
and refuses the textures that a tile takes for faces.
"""

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from faceemo.data.measure import face_detector
from faceemo.data.measure.boxes import Box, Detection, box_iou
from faceemo.data.measure.cutting import cut_out
from faceemo.data.measure.network import Network

# Height in pixels of the smallest faces in a tile. Of 189 crops of FER2013, 48 pixels high and
# pasted onto textures, 154 are candidates at this height; of whole heads all are, from 26 on.
SMALLEST_IN_TILE = 32
CANDIDATE = 0.15  # confidence of a candidate
SURE = 0.5  # confidence above which every candidate gets a second look
# Second looks at the others per tile: three times the work of the tile. Some textures, such as
# noise, have hundreds of weak candidates.
MAX_UNSURE = 24
# Confidence in the second look. Coins, clocks and grass, hundreds of which a large photo may show,
# reach 0.8 at most; 149 of 154 faces of FER2013 exceed 0.9.
CONFIRMED = 0.9
# The scale is divided by this from one level to the next. A tile shows faces of 32 to 128 pixels
# whole, so that no height lies between two levels.
RATIO = 4
OVERLAP = 128  # pixels that two neighbouring tiles share
MAX_TILE = 1024  # pixels; larger tiles need more memory, smaller ones have more overlap
STEP = 32  # pixels: sides of tiles are multiples
# Side of the square of the second look per height of the candidate: with 2, parts of clocks reach a
# confidence of 0.94.
CONTEXT = 3.0
SAME_IOU = 0.3  # between a candidate and its box in the second look
NMS_IOU = 0.4  # above which two candidates are one
_BATCH_SIZE = 4
MAX_ASPECT = 3.0  # of a face's box: its longer side to its shorter one
MAX_EXTENT = 2.0  # of a face's box: its longer side to the photo's shorter one


def list_scales(min_face: float, searched: float, shorter: int) -> list[float]:
    """Lists the scales at which a photo is to be searched in tiles, the finest first.

    A strip that is too narrow for half a face at some scale is not searched at it: a few kilobytes
    may hold a row of millions of pixels, each tile of which would cost as much as a whole one.

    Args:
        min_face: Height of the smallest faces to be found, pixels of the photo.
        searched: Scale at which the whole photo was searched already.
        shorter: Shorter side of the photo, pixels.
    """
    scales = []
    scale = SMALLEST_IN_TILE / min_face
    while scale > searched and shorter * scale >= SMALLEST_IN_TILE / 2:
        scales.append(scale)
        scale /= RATIO
    return scales


def find_candidates(
    network: Network, image: np.ndarray, scale: float, threshold: float
) -> list[Box]:
    """Finds what may be a face in a photo at one scale, tile by tile.

    Args:
        network: The res10 network.
        image: uint8 [H, W, BGR].
        scale: Pixels of the network's input per pixel of the photo.
        threshold: Confidence above which a second look counts as a face, 0..1.

    Returns:
        Boxes in pixels of the photo, one for each candidate.
    """
    height, width = image.shape[:2]
    wide, high = (math.ceil(side * scale / STEP) * STEP for side in (width, height))
    shrunk = cv2.resize(image, (wide, high), interpolation=_interpolation(wide, width))
    limit = min(CANDIDATE, threshold)
    found: list[tuple[float, Box]] = []
    lefts, tile_width = split(wide)
    tops, tile_height = split(high)
    for x, y in ((x, y) for y in tops for x in lefts):
        tile = shrunk[y : y + tile_height, x : x + tile_width]
        in_tile = [
            (confidence, _move(box, (x, y), (width / wide, height / high)))
            for _, confidence, box in face_detector.forward(
                network, [tile], (tile_width, tile_height), limit
            )
            if box[2] > box[0] and box[3] > box[1]
        ]
        in_tile = [one for one in in_tile if _may_be_face(one[1], min(width, height))]
        in_tile.sort(reverse=True)
        sure = sum(confidence > SURE for confidence, _ in in_tile)
        found += in_tile[: sure + MAX_UNSURE]
    sizes = [(box[0], box[1], box[2] - box[0], box[3] - box[1]) for _, box in found]
    kept = cv2.dnn.NMSBoxes(sizes, [confidence for confidence, _ in found], limit, NMS_IOU)
    return [found[int(index)][1] for index in kept]


def confirm(
    network: Network, image: np.ndarray, candidates: Sequence[Box], threshold: float
) -> Iterator[Detection]:
    """Looks at each candidate alone, at the network's training size.

    Args:
        network: The res10 network.
        image: uint8 [H, W, BGR].
        candidates: Boxes in pixels of the image.
        threshold: Confidence above which a candidate is a face, 0..1; it counts from 0.9 on.

    Yields:
        The faces, with confidence and box of the second look.
    """
    side = face_detector.SIDE
    limit = max(threshold, CONFIRMED)
    for start in range(0, len(candidates), _BATCH_SIZE):
        batch = candidates[start : start + _BATCH_SIZE]
        squares = [square_around(box, CONTEXT) for box in batch]
        looks = [cut(image, *square, side) for square in squares]
        best: dict[int, Detection] = {}
        for index, confidence, found in face_detector.forward(network, looks, (side, side), limit):
            left, top, extent = squares[index]
            scale = extent / side
            box = _move(found, (left / scale, top / scale), (scale, scale))
            if (
                index not in best
                and found[2] > found[0]
                and found[3] > found[1]
                and box_iou(box, batch[index]) > SAME_IOU
            ):
                best[index] = Detection(confidence, box, side)
        yield from best.values()


def split(length: int) -> tuple[list[int], int]:
    """Splits a side of a photo into tiles of equal length.

    Args:
        length: Pixels, a multiple of 32.

    Returns:
        Where the tiles begin, and their length: a multiple of 32, at most 1024. Neighbours share
        at least 128 pixels, and together they cover the side.
    """
    count = max(1, math.ceil((length - OVERLAP) / (MAX_TILE - OVERLAP)))
    tile = math.ceil(((length - OVERLAP) / count + OVERLAP) / STEP) * STEP
    return [round(index * (length - tile) / max(1, count - 1)) for index in range(count)], tile


def square_around(box: Box, context: float) -> tuple[int, int, int]:
    """Returns left, top and side, in pixels, of the square for a second look at a box.

    Args:
        box: The box.
        context: The side of the square per longer side of the box.
    """
    left, top, right, bottom = box
    side = max(1, round(context * max(right - left, bottom - top)))
    return round((left + right - side) / 2), round((top + bottom - side) / 2), side


def cut(image: np.ndarray, left: int, top: int, side: int, size: int) -> np.ndarray:
    """Cuts out a square as uint8 [size, size, BGR]; pixels beyond the edge repeat the nearest."""
    square = cut_out(image, left, top, left + side, top + side)
    return cv2.resize(square, (size, size), interpolation=_interpolation(size, side))


def _may_be_face(box: Box, shorter: int) -> bool:
    """Returns whether a box has the form of a face, and a size that a photo can show.

    In a strip of 40,000x150 pixels the network reports boxes as long as the strip; the squares
    around them would take gigabytes.

    Args:
        box: The box in pixels of the photo.
        shorter: The photo's shorter side, pixels.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    low, high = sorted((width, height))
    return high <= min(MAX_ASPECT * low, MAX_EXTENT * shorter)


def _move(box: Box, offset: tuple[float, float], scale: tuple[float, float]) -> Box:
    """Moves a box by an offset and scales it then, to hundredths of a pixel."""
    left, top, right, bottom = (
        round((edge + offset[axis % 2]) * scale[axis % 2], 2) for axis, edge in enumerate(box)
    )
    return left, top, right, bottom


def _interpolation(new: int, old: int) -> int:
    # bilinear interpolation skips pixels where it shrinks
    return cv2.INTER_AREA if new < old else cv2.INTER_LINEAR
