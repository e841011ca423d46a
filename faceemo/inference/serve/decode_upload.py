"""Decodes an uploaded image after its format and size have been checked."""

import re

import PIL

from faceemo.data.measure.decode import decode, describe_problem, open_image
from faceemo.inference.file_kinds import is_animated, recognise_film
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.serve.errors import ApiError
from faceemo.inference.serve.limits import Limits

# Pillow's names of the accepted formats, those of cameras, telephones and browsers. They are few,
# as each is a decoder exposed to untrusted input.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "AVIF", "HEIF")
FORMAT_NAMES = "JPEG, PNG, WebP, BMP, AVIF or HEIC"
# Scans of a JPEG, each of which goes over all its pixels, times pixels: cameras make one scan,
# progressive files about ten, and a few bytes can ask for thousands.
_MAX_SCANS = 20
_START_OF_SCAN = b"\xff\xda"
# Beginning of what decoders raise, such as 'OSError: ', which only programmers understand.
_RAISED = re.compile(r"[A-Z]\w*: ")


def decode_image(content: bytes, limits: Limits) -> LoadedImage:
    """Decodes an uploaded file; its format is recognised by content.

    Raises:
        ApiError: If the file is not an image, too large or damaged.
    """
    _check_header(content, limits)
    decoded = decode(content, FORMATS)
    if decoded.pixels is None:
        raise _make_damaged_error(decoded.problem)
    return LoadedImage(0, "upload", decoded.pixels)


def _check_header(content: bytes, limits: Limits) -> None:
    """Raises an `ApiError` if the format is not accepted or decoding would take too much."""
    try:
        with open_image(content, FORMATS) as image:
            width, height = image.size
            scans = content.count(_START_OF_SCAN) if image.format in ("JPEG", "MPO") else 1
            animated = is_animated(image)
    except PIL.UnidentifiedImageError:
        if _is_film(content):
            raise _make_film_error("a film") from None
        raise ApiError(
            415,
            "no_picture",
            expected=f"an image file: {FORMAT_NAMES}, recognised by content, not by name",
            found="a file of another format",
            fix="save the image as JPEG",
        ) from None
    except Exception as error:  # decoders raise anything on damaged input
        raise _make_damaged_error(describe_problem(error)) from None
    if animated:
        raise _make_film_error("an image with several frames")
    if width * height > limits.max_pixels:
        raise _make_too_many_pixels_error(limits, f"{width:,} × {height:,} pixels")
    if scans * width * height > _MAX_SCANS * limits.max_pixels:
        raise _make_damaged_error(f"a JPEG of {scans:,} scans, which would take long to decode")


def _make_too_many_pixels_error(limits: Limits, found: str) -> ApiError:
    return ApiError(
        413,
        "too_many_pixels",
        expected=f"an image of at most {limits.max_pixels / 1e6:g} million pixels",
        found=found,
        fix="scale the image down",
    )


def _is_film(content: bytes) -> bool:
    """Returns whether a file is a film, or an animation in a format that is no image here."""
    return content.startswith((b"GIF87a", b"GIF89a")) or bool(recognise_film(content))


def _make_film_error(found: str) -> ApiError:
    return ApiError(
        415,
        "film",
        expected="a photograph",
        found=found,
        fix="send it to /api/films",
    )


def describe_damage(problem: str) -> str:
    """Describes in words of users what a decoder says about a file that it cannot read."""
    if not _RAISED.match(problem):
        return problem
    cut_off = re.search(r"truncated|end of (file|image|data)", problem, re.IGNORECASE)
    return "a file whose end is missing" if cut_off else "a damaged file"


def _make_damaged_error(problem: str) -> ApiError:
    return ApiError(
        422,
        "damaged",
        expected="an image that can be decoded completely",
        found=describe_damage(problem),
        fix="save the image again, as JPEG",
    )
