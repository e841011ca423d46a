"""The kind of a file, by its content: an image, a film, or something else and what it is."""

import dataclasses
import os
import re
from pathlib import Path
from typing import BinaryIO

import PIL
from PIL import Image

from faceemo.data.measure.decode import open_image

IMAGE, FILM, OTHER, UNREADABLE = "image", "film", "other", "unreadable"

_HEAD = 4096  # bytes that are read of a file
# Formats that Pillow identifies but does not decode.
_STUBS = {"BUFR", "GRIB", "HDF5", "MPEG"}
# Formats that Pillow recognises by so little that other files pass for them.
_WEAK = {"IM", "IMT", "IPTC", "PCD", "PCX", "SPIDER", "TGA"}
# Formats whose frames follow each other in time; a TIFF has pages, an icon has sizes.
ANIMATED = {"AVIF", "FLI", "GIF", "PNG", "WEBP"}

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# Chunks of a PNG: one that only animated ones have, before the other, with which the pixels begin.
_PNG_FRAMES, _PNG_PIXELS = b"acTL", b"IDAT"

# Beginnings of films, and the names of their containers.
_FILMS = (
    (rb"\x1aE\xdf\xa3", "Matroska"),  # WebM too
    (rb"RIFF....AVI ", "AVI"),
    (rb"FLV\x01", "Flash Video"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (rb"\0\0\x01[\xba\xb3]", "MPEG"),
    (rb"G.{187}G.{187}G", "MPEG-TS"),
    (rb".{4}G.{191}G.{191}G", "MPEG-TS"),  # as camcorders and Blu-ray store it
    (rb"....(moov|mdat|wide|free|skip|pnot)", "MP4"),  # QuickTime, before brands
    (rb"OggS(?=.{0,400}(theora|video))", "Ogg"),
    (rb"\.RMF", "RealMedia"),
    (rb"\x06\x0e\x2b\x34\x02\x05\x01\x01", "MXF"),
    (rb"YUV4MPEG2 ", "YUV4MPEG2"),
    (rb"DKIF", "IVF"),
)
# Brands of ISO media files (....ftypXXXX) that are no films.
_IMAGE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_IMAGE_BRANDS += (b"avif", b"avis")
_AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
# Beginnings of images, which are images even if they are damaged.
_IMAGES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|8BPS|qoif"
    rb"|\0\0\0\x0cjP  \r\n\x87\n",
    re.DOTALL,
)
_RAW = (
    (rb"....ftypcrx ", "CR3"),
    (rb"II\*\0....CR", "CR2"),
    (rb"FUJIFILMCCD-RAW", "RAF"),
    (rb"II(RO|RS)|MMOR", "ORF"),
    (rb"IIU\0", "RW2"),
    (rb"FOVb", "X3F"),
)
# Raw photographs that are TIFF files: what other programs see in them is a thumbnail.
_RAW_SUFFIXES = {
    *(".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos"),
    *(".nef", ".nrw", ".pef", ".raw", ".rwl", ".sr2", ".srf", ".srw"),
}
_OTHERS = (
    (rb"\s*%PDF-", "PDF"),
    (rb"\x89HDF\r\n\x1a\n", "HDF5"),
    (rb"PK(\x03\x04|\x05\x06)", "ZIP"),
    (rb"\x1f\x8b", "gzip"),
    (rb"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (rb"Rar!", "RAR"),
    (rb"\xfd7zXZ\0", "xz"),
    (rb"BZh[1-9]1AY&SY", "bzip2"),
    (rb"\x28\xb5\x2f\xfd", "Zstandard"),
    (rb".{257}ustar", "tar"),
    (rb"SQLite format 3\0", "SQLite"),
    (rb"\x93NUMPY", "NumPy"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Microsoft Office"),
    (rb"\x7fELF", "program"),
    (rb"\0\x05\x16\x07|\0\0\0\x01Bud1", "metadata of macOS"),
    (rb"RIFF....WAVE|ID3|\xff[\xfb\xf3\xf2]|fLaC|OggS|FORM....AIF|#!AMR|MThd", "sound"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg|<svg)", "SVG drawing"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype )?html", "HTML"),
    (rb"(\xef\xbb\xbf)?\s*<\?xml", "XML"),
    (rb"\xff\xfe|\xfe\xff", "text"),  # UTF-16
)
# Endings by which a file whose content is not recognised is expected to be a film.
_FILM_SUFFIXES = {
    *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv"),
    *(".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".rm", ".rmvb", ".ts"),
    *(".vob", ".webm", ".wmv"),
}
_PROGRAM_SUFFIXES = {".ts", ".mts"}  # of TypeScript, which is text


@dataclasses.dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        kind: `IMAGE`; `FILM`, which animated images are too; `OTHER`; or `UNREADABLE`, if it is or
            should be one of the first two and is known to be unreadable.
        name: The name of a film's container or of an animated image's format, such as 'MP4' or
            'GIF'; empty otherwise.
        reason: For the last two kinds, the reason why nothing can be predicted.
    """

    kind: str
    name: str = ""
    reason: str = ""


def recognise(path: Path) -> Content:
    """Recognises what a file holds by its first bytes, and by its header if it is an image.

    The ending of its name decides only whether a file that is neither an image nor a film was
    expected to be one: then it is `UNREADABLE`, otherwise `OTHER`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            # most files are one of these two, and need no further look
            is_still = head.startswith(_JPEG) or (
                head.startswith(_PNG) and not _is_animated_png(file)
            )
    except OSError as error:  # it is gone, forbidden, or on a disk that fails
        return Content(UNREADABLE, reason=f"{type(error).__name__}: {error.strerror}")
    suffix = path.suffix.lower()
    if is_still:
        return Content(IMAGE)
    if raw := _recognise_raw(head, suffix):
        return Content(UNREADABLE, reason=f"a raw photograph ({raw}): convert it to JPEG")
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return Content(UNREADABLE, reason="a JPEG XL image: convert it to JPEG or PNG")
    if container := recognise_film(head):
        return Content(FILM, container)
    if image := _recognise_image(path, head, suffix):
        return image
    # Systems keep their own data in hidden files: macOS beside every photo.jpg in ._photo.jpg.
    expected = not path.name.startswith(".") and (
        suffix in _FILM_SUFFIXES or suffix in _image_suffixes()
    )
    if not head:
        return Content(UNREADABLE if expected else OTHER, reason="an empty file")
    other = _match(_OTHERS, head) or ("text" if _is_text(head) else "")
    if other == "text" and suffix in _PROGRAM_SUFFIXES:
        expected = False
    if expected and not other:  # its decoder gives the reason
        return Content(FILM, suffix) if suffix in _FILM_SUFFIXES else Content(IMAGE)
    reason = f"not an image or video{f' ({other})' if other else ''}"
    return Content(UNREADABLE if expected else OTHER, reason=reason)


def is_animated(image: Image.Image) -> bool:
    """Returns whether an image that Pillow has opened has several frames in time."""
    return image.format in ANIMATED and getattr(image, "is_animated", False)


def _is_animated_png(file: BinaryIO) -> bool:
    """Returns whether a PNG has the chunk of animations, by the headers of its chunks alone."""
    file.seek(len(_PNG))
    while len(header := file.read(8)) == 8:
        if header[4:] in (_PNG_FRAMES, _PNG_PIXELS):
            return header[4:] == _PNG_FRAMES
        file.seek(int.from_bytes(header[:4], "big") + 4, os.SEEK_CUR)  # its data and checksum
    return False


def _recognise_raw(head: bytes, suffix: str) -> str:
    name = _match(_RAW, head)
    is_tiff = head.startswith((b"II*\0", b"MM\0*"))
    return name or (suffix[1:].upper() if is_tiff and suffix in _RAW_SUFFIXES else "")


def recognise_film(content: bytes) -> str:
    """Returns the name of a film's container, by its first bytes; empty if the file is no film."""
    head = content[:_HEAD]
    if head[4:8] != b"ftyp":
        return "" if _is_text(head) else _match(_FILMS, head)
    brand = head[8:12]
    return "" if brand in (*_IMAGE_BRANDS, *_AUDIO_BRANDS) else "MP4"


def _recognise_image(path: Path, head: bytes, suffix: str) -> Content | None:
    """Returns the content of an image, animated or not; None if the file is no image."""
    by_signature = _IMAGES.match(head) or (head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS)
    try:
        # a file without a signature, which may be large, is not read whole
        with open_image(path.read_bytes()) if by_signature else Image.open(path) as image:
            weak = image.format in _WEAK and _image_suffixes().get(suffix) != image.format
            if image.format in _STUBS or weak:
                return None
            if is_animated(image):
                return Content(FILM, str(image.format))
    except PIL.UnidentifiedImageError:
        return Content(IMAGE) if by_signature else None
    except Exception:  # Pillow's readers raise anything; the decoder gives the reason
        pass
    return Content(IMAGE)


def _image_suffixes() -> dict[str, str]:
    """Returns the endings of images, with Pillow's names of their formats."""
    formats = Image.registered_extensions().items()
    return {suffix: name for suffix, name in formats if name in Image.OPEN and name not in _STUBS}


def _match(table: tuple[tuple[bytes, str], ...], head: bytes) -> str:
    found = (name for pattern, name in table if re.match(pattern, head, re.DOTALL))
    return next(found, "")


def _is_text(head: bytes) -> bool:
    """Returns whether the beginning of a file is UTF-8 without control characters."""
    text = head.decode("utf-8", "replace")
    if "\ufffd" in text[:-1]:  # the last character may be cut
        return False
    return not re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text)
