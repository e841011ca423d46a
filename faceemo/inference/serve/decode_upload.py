"""From uploaded bytes to a picture: what it is and how large is known before it is decoded."""

import io

import PIL
from PIL import Image

from faceemo.data.measure.decode import decode
from faceemo.inference.images import Picture
from faceemo.inference.serve.errors import Refused
from faceemo.inference.serve.limits import Limits

# Pillow's names. Few, because each is a decoder that strangers may feed.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
NAMES = "JPEG, PNG, WebP or BMP"
# Scans of a JPEG, each of which goes over all its pixels, times pixels: cameras make one scan,
# progressive files about ten, and a few bytes can ask for thousands.
_SCANS = 20
_START_OF_SCAN = b"\xff\xda"


def picture_of(content: bytes, limits: Limits) -> Picture:
    """Decodes an uploaded file, whatever it is called.

    Raises:
        Refused: if it is no picture, too large or damaged.
    """
    _check_header(content, limits)
    found = decode(content, FORMATS)
    if found.pixels is None:
        raise _damaged(found.problem)
    return Picture(0, "upload", found.pixels)


def _check_header(content: bytes, limits: Limits) -> None:
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            scans = content.count(_START_OF_SCAN) if image.format in ("JPEG", "MPO") else 1
    except PIL.UnidentifiedImageError:
        raise Refused(
            415,
            "no_picture",
            expected=f"a picture: {NAMES}, by its content",
            found="a file of another kind",
            fix="save it as JPEG",
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many(limits, f"more than {Image.MAX_IMAGE_PIXELS:,}") from None
    except Exception as error:  # decoders raise anything on damaged input
        raise _damaged(f"{type(error).__name__}: {error}") from None
    if width * height > limits.pixels:
        raise _too_many(limits, f"{width:,} × {height:,}")
    if scans * width * height > _SCANS * limits.pixels:
        raise _damaged(f"a JPEG of {scans:,} scans, which would take long to decode")


def _too_many(limits: Limits, found: str) -> Refused:
    return Refused(
        413,
        "too_many_pixels",
        expected=f"a picture of at most {limits.pixels / 1e6:g} million pixels",
        found=found,
        fix="make it smaller",
    )


def _damaged(found: str) -> Refused:
    return Refused(
        422,
        "damaged",
        expected="a picture that can be decoded whole",
        found=found,
        fix="save it again, as JPEG",
    )
