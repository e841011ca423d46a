"""Small pictures of uploaded images, for browsers that cannot show the images themselves."""

import io

import numpy as np
from PIL import Image

from faceemo.config.image_format import RGB, ImageFormat
from faceemo.data.measure.boxes import Box
from faceemo.data.measure.decode import Pixels
from faceemo.inference.faces import cut_square
from faceemo.inference.serve.decode_upload import decode_image
from faceemo.inference.serve.limits import Limits

MAX_SIDE = 1600  # pixels, of a preview
THUMBNAIL = 96  # pixels, the side of a face's picture
_QUALITY = 85  # of JPEGs


def make_preview(content: bytes, limits: Limits) -> bytes:
    """Makes an upright JPEG of an image, with at most `MAX_SIDE` pixels a side.

    Raises:
        ApiError: If the file is not an image, too large or damaged.
    """
    pixels = decode_image(content, limits).pixels
    assert pixels is not None
    shown = Image.fromarray(np.ascontiguousarray(pixels.as_shown()))
    shown.thumbnail((MAX_SIDE, MAX_SIDE), reducing_gap=2.0)
    return encode_jpeg(shown)


def make_thumbnail(pixels: Pixels, region: Box) -> bytes:
    """Makes a JPEG of a face's region, in the colours of the image.

    Args:
        pixels: The image.
        region: Left, top, right and bottom, in pixels of the image as it is stored.
    """
    left, top, right, bottom = (round(edge / pixels.reduction) for edge in region)
    square = left, top, max(right, left + 1), max(bottom, top + 1)
    return encode_jpeg(Image.fromarray(cut_square(pixels, square, ImageFormat(THUMBNAIL, RGB))))


def encode_jpeg(image: Image.Image) -> bytes:
    """Encodes an image as JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
