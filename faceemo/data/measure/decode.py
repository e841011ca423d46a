"""Decoding of image files: a file that cannot be decoded is reported, never replaced.

Whatever faceemo decodes goes through this module, so that training, the search for duplicates, the
face detector and predictions see the same upright pixels.
"""

import dataclasses
import io
import threading
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import PIL
import pillow_heif
from PIL import Image

from faceemo.config.image_format import ImageFormat
from faceemo.data.measure import metadata
from faceemo.data.measure.colour import count_colourless
from faceemo.errors import UserError

pillow_heif.register_heif_opener()

# Pillow would run Ghostscript (EPS) or Windows (WMF) to render these.
_PROGRAM_FORMATS = ("EPS", "WMF")
_MAX_SAFE_PIXELS = 2**24  # any file with at most this many is decoded in a second
_MAX_PIXELS_PER_BYTE = 200  # of larger images
MAX_PIXELS = 2**28  # telephones make photographs of 200 million
# Photographs with more are halved: in memory, each pixel takes 4 bytes, and while it is decoded 8.
_MAX_WHOLE_PIXELS = 2**30 // 12
_HALF = 2

_opening = threading.Lock()


class RefusedImageError(ValueError):
    """An image that could be decoded, but is refused; the message says why."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pixels:
    """The upright pixels of one image, in the two forms that measurements need.

    Attributes:
        grey: uint8 [h, w], the model's input before resizing.
        bgr: uint8 [h, w, 3], the face detector's input.
        size: Width and height of the upright image as it is stored. They are twice `w` and `h` for
            an image of more than 89 million pixels, which is halved.
    """

    grey: np.ndarray
    bgr: np.ndarray
    size: tuple[int, int]

    @property
    def reduction(self) -> int:
        """How many times as long the sides of the stored image are: 1, or 2 if it was halved."""
        return 1 if self.size == self.grey.shape[::-1] else _HALF

    @property
    def has_colour(self) -> bool:
        """Whether the channels of `bgr` differ."""
        return not count_colourless(self.bgr[None])

    def as_shown(self) -> np.ndarray:
        """Returns the pixels for people to see: RGB, uint8 [h, w, 3], or `grey` without colour."""
        return self.bgr[..., ::-1] if self.has_colour else self.grey

    @classmethod
    def from_image(cls, image: Image.Image) -> Self:
        """Takes the pixels of an image in memory.

        Raises:
            ValueError: If the image has several frames, or floating-point pixels.
        """
        _refuse_frames(image)
        upright = metadata.turn_upright(image)
        return cls._from_upright(upright, upright.size)

    @classmethod
    def _from_upright(cls, upright: Image.Image, size: tuple[int, int]) -> Self:
        """Takes the pixels of an upright image, which may have been halved from `size`."""
        grey = to_grey(upright)
        # not to three channels here, which a large photograph needs memory for
        colour = grey if _is_grey(upright) else to_rgb(upright)
        levels = np.asarray(_halve(grey, size))
        if colour is grey:
            bgr = cv2.cvtColor(levels, cv2.COLOR_GRAY2BGR)
        else:
            bgr = cv2.cvtColor(np.asarray(_halve(colour, size)), cv2.COLOR_RGB2BGR)
        return cls(grey=levels, bgr=bgr, size=size)


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

    Args:
        content: The file's bytes.
        formats: Pillow's names of the accepted formats; None accepts all that Pillow reads, and
            HEIF.
    """
    found = Decoded(bytes=len(content))
    try:
        with open_image(content, formats) as image:
            width, height = image.size
            found = dataclasses.replace(found, mode=image.mode, width=width, height=height)
            pixels = Pixels._from_upright(*_load_upright(image, len(content)))
    except Exception as error:  # decoders raise anything on damaged input
        return dataclasses.replace(found, problem=describe_problem(error))
    return dataclasses.replace(found, pixels=pixels)


def decode_file(path: Path) -> Decoded:
    """Decodes the image file at `path`; one that cannot be opened has a problem too."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Decoded(bytes=0, problem=f"{type(error).__name__}: {error.strerror}")
    return decode(content)


def describe_problem(error: Exception) -> str:
    """Describes in one line why an image could not be decoded."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return "not an image file"  # Pillow's own message holds a memory address
    if isinstance(error, RefusedImageError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def open_image(content: bytes, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Opens an image file without decoding its pixels.

    Damaged or oversized metadata is no obstacle. Pillow's limit on the number of pixels is lifted
    meanwhile, because `decode` has its own.

    Args:
        content: The file's bytes.
        formats: As for `decode`.

    Raises:
        Exception: Whatever Pillow raises if it cannot read the header.
    """
    content, orientation = metadata.separate(content)
    try:
        image = _open_any_size(content, formats)
    except Exception:  # libavif and Pillow each raise their own
        if content[4:8] != b"ftyp":
            raise
        image = _open_any_size(metadata.hide_exif_item(content), formats)
    if orientation is not None:
        metadata.set_orientation(image, orientation)
    return image


def refuse_bombs(shape: tuple[int, int], size: int) -> None:
    """Raises if a file of `size` bytes claims more pixels than any photo packs into so few bytes.

    A few bytes may claim millions of pixels, which cost gigabytes and seconds before they fail.
    A flat JPEG has 85 pixels a byte, a photograph 20 at the most.

    Raises:
        RefusedImageError: If it does, or claims more pixels than are decoded.
    """
    width, height = shape
    pixels = width * height
    if pixels > _MAX_SAFE_PIXELS and pixels > _MAX_PIXELS_PER_BYTE * size:
        raise RefusedImageError(
            f"{width:,} × {height:,} pixels in {size:,} bytes, which no photograph has: a "
            "decompression bomb"
        )
    if pixels > MAX_PIXELS:
        raise RefusedImageError(
            f"{width:,} × {height:,} pixels, more than the {MAX_PIXELS / 1e6:.0f} million that are "
            "decoded; scale it down"
        )


def read_grey(path: Path, size: int) -> np.ndarray:
    """Reads an image file as a grey square, uint8 [size, size]; see `read_image`."""
    return read_image(path, ImageFormat(size))


def read_image(path: Path, form: ImageFormat) -> np.ndarray:
    """Reads an image file of any mode and shape as a square, uint8 [S, S] or [S, S, 3] (RGB).

    The image is turned upright, transparency ignored, 16 bits are scaled to 8, and an oblong is
    squeezed; resizing is bilinear and antialiased. An image of 8 bits a channel that has this
    format comes back unchanged. The three channels of a grey image are equal.

    Raises:
        UserError: If the file cannot be decoded.
    """
    convert = to_rgb if form.in_colour else to_grey
    try:
        content = path.read_bytes()
        with open_image(content) as image:
            upright, full_size = _load_upright(image, len(content))
            return resize_square(_halve(convert(upright), full_size), form.size)
    except Exception as error:  # decoders raise anything on damaged input
        raise UserError(
            expected=f"an image that can be decoded at {path}",
            found=describe_problem(error),
            fix="delete it, or run faceemo prepare, which sets such files aside",
        ) from error


def load_small(image: Image.Image, length: int, side: int) -> np.ndarray:
    """Decodes an opened image for measurements, as uint8 [side, side, 3], RGB, not upright.

    Args:
        image: The image, which `open_image` has opened.
        length: Size of its file, bytes.
        side: Side of the result, pixels.

    Raises:
        Exception: Whatever the decoder raises if the pixels cannot be read.
    """
    _refuse_programs(image)
    refuse_bombs(image.size, length)
    _refuse_frames(image)
    image.draft(None, (side, side))  # JPEGs are decoded at an eighth of their sides
    return resize_square(to_rgb(image), side)


def resize_square(image: Image.Image, size: int) -> np.ndarray:
    """Resizes an 8-bit image to a square, bilinear and antialiased.

    Returns:
        uint8 [size, size] of a grey image, [size, size, 3] of one in colour.
    """
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(image)


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
        raise RefusedImageError("floating-point pixels, whose range no format defines")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    return image.convert("L")


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image to 8-bit RGB as `to_grey` does to grey."""
    if image.mode == "RGB":
        return image
    if _is_grey(image):
        return to_grey(image).convert("RGB")
    return image.convert("RGBA").convert("RGB")


def _is_grey(image: Image.Image) -> bool:
    """Returns whether an image has one channel, which Pillow would clip if it has more bits."""
    return image.mode in ("L", "F") or image.mode.startswith("I")


def _open_any_size(content: bytes, formats: tuple[str, ...] | None) -> Image.Image:
    with _opening:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(io.BytesIO(content), formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _load_upright(image: Image.Image, length: int) -> tuple[Image.Image, tuple[int, int]]:
    """Decodes an opened file of `length` bytes and turns it upright.

    Returns:
        The image, which is halved if it is a huge JPEG; and its size before that.
    """
    _refuse_programs(image)
    refuse_bombs(image.size, length)
    _refuse_frames(image)
    width, height = image.size
    if image.format != "JPEG" or not _is_huge(image.size):
        upright = metadata.turn_upright(image)
        return upright, upright.size
    # libjpeg halves it while it decodes, in a quarter of the memory
    image.draft(None, (width // _HALF, height // _HALF))
    upright = metadata.turn_upright(image)
    return upright, (height, width) if metadata.swaps_sides(image) else (width, height)


def _is_huge(size: tuple[int, int]) -> bool:
    return size[0] * size[1] > _MAX_WHOLE_PIXELS


def _halve(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Halves the sides of an 8-bit image if they are `size` still, and that is huge."""
    return image.reduce(_HALF) if image.size == size and _is_huge(size) else image


def _refuse_programs(image: Image.Image) -> None:
    if image.format in _PROGRAM_FORMATS:
        raise RefusedImageError(f"{image.format} is a program that draws, and is not run")


def _refuse_frames(image: Image.Image) -> None:
    # MPO and HEIF name one image as the photograph; others show something else in every frame
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in ("MPO", "HEIF"):
        parts = "pages" if image.format == "TIFF" else "frames"
        raise RefusedImageError(f"{frames} {parts}, where one is expected: save each as a file")
