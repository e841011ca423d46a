"""A part of an image that a request names, in place of a search for faces."""

import math

from faceemo.data.measure.boxes import Box
from faceemo.inference.faces import Face, cut_square
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.predictor import Predictor
from faceemo.inference.serve.errors import ApiError

_MAX_SIDES = 2.0  # sides of a region, in longer sides of the image


def parse_region(text: str) -> Box:
    """Parses left, top, right and bottom.

    Raises:
        ApiError: If they are not four numbers, or enclose nothing.
    """
    try:
        left, top, right, bottom = map(float, text.split(","))
    except ValueError:
        raise _make_error(text) from None
    if not all(map(math.isfinite, (left, top, right, bottom))) or left >= right or top >= bottom:
        raise _make_error(text)
    return left, top, right, bottom


def take_region(predictor: Predictor, image: LoadedImage, region: Box) -> Face:
    """Cuts out a region as the network's input, as faces that are found are.

    Args:
        predictor: The predictor.
        image: A decoded image.
        region: Left, top, right and bottom, in pixels of the upright image as it is stored.

    Raises:
        ApiError: If the region lies outside the image, or is much larger.
    """
    pixels = image.pixels
    assert pixels is not None
    width, height = pixels.size
    left, top, right, bottom = region
    is_outside = right <= 0 or bottom <= 0 or left >= width or top >= height
    if is_outside or max(right - left, bottom - top) > _MAX_SIDES * max(width, height):
        raise ApiError(
            422,
            "malformed",
            expected=f"a region in the image of {width:,} × {height:,} pixels",
            found=",".join(f"{edge:g}" for edge in region),
            fix="give one that a face of an earlier response has",
        )
    reduced = [round(edge / pixels.reduction) for edge in region]
    left, top = reduced[:2]
    right, bottom = max(reduced[2], left + 1), max(reduced[3], top + 1)
    form = predictor.network.image_format
    return Face(cut_square(pixels, (left, top, right, bottom), form), region)


def _make_error(text: str) -> ApiError:
    return ApiError(
        422,
        "malformed",
        expected="left, top, right and bottom as the query parameter region, in pixels",
        found=f"'{text[:80]}'",
        fix="write for example region=40,60,200,220",
    )
