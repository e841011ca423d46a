"""Decoding of image files: a file that cannot be decoded is reported, never replaced."""

import dataclasses
import io
import warnings
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import PIL
from PIL import Image, ImageOps

from faceemo.errors import UserError

# Pillow only warns of more than 89 million pixels, and refuses twice as many.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

# Pillow would run Ghostscript (EPS) or Windows (WMF) to render these.
_PROGRAM_FORMATS = ("EPS", "WMF")
_MAX_SAFE_PIXELS = 2**24  # any file with at most this many is decoded in a second
_MAX_PIXELS_PER_BYTE = 200  # of larger images


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pixels:
    """The pixels of one image in the three forms that measurements need."""

    grey: np.ndarray  # uint8 [h, w], upright: the model's input, before resizing
    plain_grey: np.ndarray  # uint8 [H, W], not turned upright: the input of imagehash
    bgr: np.ndarray  # uint8 [h, w, 3]: the face detector's input

    @classmethod
    def from_image(cls, image: Image.Image) -> Self:
        """Takes the pixels of an image in memory; Pillow, not OpenCV, converts the colours.

        Raises:
            ValueError: If the image has several frames, or floating-point pixels.
        """
        _refuse_frames(image)
        upright = ImageOps.exif_transpose(image)
        grey = to_grey(upright)
        # Pillow would clip more than 8 bits here too
        colour = grey if upright.mode.startswith("I") else upright.convert("RGBA")
        bgr = np.asarray(colour.convert("RGB"))[..., ::-1]
        plain_grey = np.asarray(image.convert("L"))
        return cls(grey=np.asarray(grey), plain_grey=plain_grey, bgr=np.ascontiguousarray(bgr))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Decoded:
    """The header of an image file, and either its pixels or the problem with them."""

    bytes: int  # size of the file
    mode: str | None = None  # Pillow's name; None, like the size, if the header cannot be read
    width: int | None = None  # pixels, as stored
    height: int | None = None
    pixels: Pixels | None = None
    problem: str = ""  # why the file cannot be decoded; empty if it can


def decode(content: bytes, formats: tuple[str, ...] | None = None) -> Decoded:
    """Decodes an image file.

    OpenCV decodes for the detector, as it did in the original. But it silently fills the missing
    part of a truncated JPEG with grey, so Pillow, which does complain, reads every file first.

    Args:
        content: The file's bytes.
        formats: Pillow's names of the accepted formats; None accepts all that Pillow reads.
    """
    found = Decoded(bytes=len(content))
    try:
        with Image.open(io.BytesIO(content), formats=formats) as image:
            width, height = image.size
            found = dataclasses.replace(found, mode=image.mode, width=width, height=height)
            _refuse_programs(image)
            _refuse_bombs(width * height, len(content))
            image.load()
            _refuse_frames(image)
            if image.format == "PNG":
                _refuse_chunks_beyond_the_end(content)
            plain_grey = np.asarray(image.convert("L"))
            grey = np.asarray(to_grey(ImageOps.exif_transpose(image)))
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except PIL.UnidentifiedImageError:
        # Pillow's own message holds a memory address
        return dataclasses.replace(found, problem="not an image file")
    except Exception as error:  # decoders raise anything on damaged input
        return dataclasses.replace(found, problem=f"{type(error).__name__}: {error}")
    if bgr is None:
        return dataclasses.replace(found, problem="a format that OpenCV does not read")
    return dataclasses.replace(found, pixels=Pixels(grey=grey, plain_grey=plain_grey, bgr=bgr))


def read_grey(path: Path, size: int) -> np.ndarray:
    """Reads an image file of any mode and shape as a grey square, uint8 [size, size].

    An EXIF rotation is applied, transparency ignored, 16 bits are scaled to 8, and an oblong is
    squeezed; resizing is bilinear and antialiased. An 8-bit grey image of this size comes back
    unchanged.

    Raises:
        UserError: If the file cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            _refuse_programs(image)
            return resize_square(to_grey(ImageOps.exif_transpose(image)), size)
    except Exception as error:  # decoders raise anything on damaged input
        raise UserError(
            expected=f"an image that can be decoded at {path}",
            found=f"{type(error).__name__}: {error}",
            fix="delete it, or run faceemo prepare, which sets such files aside",
        ) from error


def resize_square(grey: Image.Image, size: int) -> np.ndarray:
    """Resizes an 8-bit grey image to a square, uint8 [size, size]: bilinear, antialiased."""
    if grey.size != (size, size):
        grey = grey.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(grey)


def to_grey(image: Image.Image) -> Image.Image:
    """Converts an image to 8-bit grey and drops transparency; more than 8 bits are scaled.

    Pillow alone would clip them.

    Raises:
        ValueError: If the pixels are floating-point numbers.
    """
    if image.mode.startswith("I"):
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range no format defines")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    return image.convert("L")


def _refuse_chunks_beyond_the_end(content: bytes) -> None:
    """Raises if a PNG's chunk claims more bytes than the file has.

    OpenCV allocates the size that a chunk claims, even gigabytes, before it reads the chunk.
    """
    position, kind = 8, b""  # after the signature
    while kind != b"IEND" and position + 8 <= len(content):
        kind = content[position + 4 : position + 8]
        position += 12 + int.from_bytes(content[position : position + 4], "big")
    if position > len(content):
        raise ValueError("a PNG with a chunk that goes beyond its end")


def _refuse_programs(image: Image.Image) -> None:
    if image.format in _PROGRAM_FORMATS:
        raise ValueError(f"{image.format} is a program that draws, and is not run")


def _refuse_bombs(pixels: int, size: int) -> None:
    """Raises if a file of `size` bytes claims more pixels than any photo packs into so few bytes.

    A few bytes may claim millions of pixels, which cost gigabytes and seconds before they fail.
    A flat JPEG has 85 pixels a byte, a photograph 20 at the most.
    """
    if pixels > _MAX_SAFE_PIXELS and pixels > _MAX_PIXELS_PER_BYTE * size:
        raise ValueError(f"{pixels:,} pixels in {size:,} bytes, which no photograph has")


def _refuse_frames(image: Image.Image) -> None:
    # MPO is a photograph with a preview, the others show something else in every frame
    if (frames := getattr(image, "n_frames", 1)) > 1 and image.format != "MPO":
        raise ValueError(f"{frames} frames, of which nobody knows which is meant")
