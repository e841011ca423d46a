"""From the bytes of an image file to pixels: what cannot be decoded is told, never replaced."""

import dataclasses
import io
import warnings
from pathlib import Path

import cv2
import numpy as np
import PIL
from PIL import Image, ImageOps

from faceemo.errors import UserError

# Pillow only warns of more than 89 million pixels, and refuses twice as many.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

_DRAWN_BY_OTHERS = ("EPS", "WMF")  # Pillow has them run by Ghostscript, by Windows
_MANY = 2**24  # pixels, up to which any file is decoded in a second
_MAX_PIXELS_PER_BYTE = 200


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pixels:
    """One image as everyone who measures it wants it."""

    grey: np.ndarray  # uint8 [h, w], upright: what training sees, before resizing
    plain_grey: np.ndarray  # uint8 [H, W]: what imagehash sees
    bgr: np.ndarray  # uint8 [h, w, 3]: what the face detector sees


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Decoded:
    """A file: its header, and its pixels or the problem with them."""

    bytes: int  # size of the file
    mode: str | None = None  # Pillow's name; None, like the size, if not even the header is read
    width: int | None = None  # pixels, as stored
    height: int | None = None
    pixels: Pixels | None = None
    problem: str = ""  # why it cannot be decoded


def decode(content: bytes, formats: tuple[str, ...] | None = None) -> Decoded:
    """Decodes a file.

    OpenCV decodes for the detector, as it did in the original. But it fills what a truncated JPEG
    lacks with grey and says nothing, so Pillow, which does complain, reads every file first.

    Args:
        content: of the file.
        formats: that are read, by Pillow's names; None for all that it knows.
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


def pixels_of(image: Image.Image) -> Pixels:
    """The same of an image that is in memory already; the colours are Pillow's.

    Raises:
        ValueError: if it has several frames, or floating-point pixels.
    """
    _refuse_frames(image)
    upright = ImageOps.exif_transpose(image)
    grey = to_grey(upright)
    # Pillow would clip more than 8 bits here too
    colour = grey if upright.mode.startswith("I") else upright.convert("RGBA")
    bgr = np.asarray(colour.convert("RGB"))[..., ::-1]
    plain_grey = np.asarray(image.convert("L"))
    return Pixels(grey=np.asarray(grey), plain_grey=plain_grey, bgr=np.ascontiguousarray(bgr))


def read_grey(path: Path, size: int) -> np.ndarray:
    """The image at `path` as a grey square, whatever its mode and shape: uint8 [size, size].

    An EXIF rotation is applied, transparency ignored, 16 bits scaled to 8, an oblong squeezed;
    resizing is bilinear and antialiased. An 8-bit grey image of this size comes back unchanged.

    Raises:
        UserError: if it cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            _refuse_programs(image)
            return squeezed(to_grey(ImageOps.exif_transpose(image)), size)
    except Exception as error:  # decoders raise anything on damaged input
        raise UserError(
            expected=f"an image that can be decoded at {path}",
            found=f"{type(error).__name__}: {error}",
            fix="delete it, or run scripts/detect_faces.py and scripts/remove_duplicates.py, "
            "which set such files aside",
        ) from error


def squeezed(grey: Image.Image, size: int) -> np.ndarray:
    """An 8-bit grey image as a square, uint8 [size, size]: bilinear, antialiased."""
    if grey.size != (size, size):
        grey = grey.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(grey)


def to_grey(image: Image.Image) -> Image.Image:
    """8-bit grey, without transparency. Pillow alone would clip what has more than 8 bits.

    Raises:
        ValueError: if the pixels are floating-point numbers.
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
    """OpenCV makes room for what a PNG's chunk claims, gigabytes, before it looks for it."""
    place, kind = 8, b""  # after the signature
    while kind != b"IEND" and place + 8 <= len(content):
        kind = content[place + 4 : place + 8]
        place += 12 + int.from_bytes(content[place : place + 4], "big")
    if place > len(content):
        raise ValueError("a PNG with a chunk that goes beyond its end")


def _refuse_programs(image: Image.Image) -> None:
    if image.format in _DRAWN_BY_OTHERS:
        raise ValueError(f"{image.format} is a program that draws, and is not run")


def _refuse_bombs(pixels: int, size: int) -> None:
    """A few bytes may claim millions of pixels, which cost gigabytes and seconds before they fail.

    A flat JPEG has 85 pixels a byte, a photograph 20 at the most.
    """
    if pixels > _MANY and pixels > _MAX_PIXELS_PER_BYTE * size:
        raise ValueError(f"{pixels:,} pixels in {size:,} bytes, which no photograph has")


def _refuse_frames(image: Image.Image) -> None:
    # MPO is a photograph with a preview, the others show something else in every frame
    if (frames := getattr(image, "n_frames", 1)) > 1 and image.format != "MPO":
        raise ValueError(f"{frames} frames, of which nobody knows which is meant")
