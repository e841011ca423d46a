"""Metadata of image files, of which only the orientation matters.

Pillow refuses whole images whose text, EXIF or colour profile is damaged or too long. So the
metadata of JPEG and PNG files is set aside before Pillow sees them.
"""

import contextlib
import itertools
import re
import struct
import zlib

from PIL import Image

_ORIENTATION = 0x0112  # EXIF's tag, with values 1 (upright) to 8
_UPRIGHT = 1
_METHODS = {  # that turn an image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_SIDEWAYS = 5  # orientation
_EXIF_HEAD = b"Exif\0\0"
_EXIF_HEADS = re.compile(rb"(?:Exif\0\0)+")
_VALUE_FORMATS = {1: "B", 3: "H", 4: "I"}  # of EXIF's BYTE, SHORT and LONG
_XMP_ORIENTATION = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([0-9])""")
_MAX_TEXT = 2**20  # bytes of a decompressed text, as in Pillow

# Bounds on files that are made to take long; photographs stay far below them.
_MAX_SEGMENTS = 10_000  # of a JPEG, before its pixels
_MAX_DAMAGED = 10  # chunks of a PNG, where those that follow each other count once
_MAX_CANDIDATES = 10  # for the chunk after a damaged one

_JPEG_START = b"\xff\xd8"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_PADDING = re.compile(rb"\xff+(?=\xff)")
_JPEG_SCAN, _JPEG_COMMENT = 0xDA, 0xFE  # markers
_JPEG_APPLICATION = range(0xE0, 0xF0)
# Segments that say how the colours are coded, by marker: their head and least length.
_JPEG_COLOURS = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)}

_PNG_START = b"\x89PNG\r\n\x1a\n"
# Ancillary chunks that tell whether there is one image or several.
_PNG_FRAMES = (b"acTL", b"fcTL", b"fdAT")
_PNG_NEXT = re.compile(rb"PLTE|IDAT|IEND")
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PNG_XMP, _PNG_EXIF = b"XML:com.adobe.xmp", b"Raw profile type exif"  # keywords of texts


def separate(content: bytes) -> tuple[bytes, int | None]:
    """Separates the metadata of a JPEG or PNG file from its pixels.

    Returns:
        The file without metadata, and its orientation, 1 to 8. A file of another format, or one
        whose structure is damaged, is returned as it is, with None.

    Raises:
        ValueError: If a chunk of a PNG that belongs to the image goes beyond the file's end, or
            there are more segments or damaged chunks than any photograph has.
    """
    if content.startswith(_JPEG_START):
        return _separate_jpeg(content)
    if content.startswith(_PNG_START):
        return _separate_png(content)
    return content, None


def hide_exif_item(content: bytes) -> bytes:
    """Hides the EXIF of an AVIF or HEIF file, whose orientation the container tells itself."""
    return re.sub(rb"(infe[\x02\x03].{7,9}?)Exif", rb"\1skip", content, flags=re.DOTALL)


def read_orientation(image: Image.Image) -> int:
    """Reads the orientation, 1 to 8, from EXIF, or from XMP if EXIF has none; 1 if neither has."""
    exif = None
    with contextlib.suppress(Exception):  # damaged EXIF makes Pillow raise anything
        exif = image.getexif().get(_ORIENTATION)
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return _choose(exif, xmp.encode() if isinstance(xmp, str) else xmp)


def set_orientation(image: Image.Image, orientation: int) -> None:
    """Sets what `read_orientation` returns for an image without metadata."""
    if orientation != _UPRIGHT:
        # without it Pillow decodes a PNG, however large, to look for metadata behind its pixels
        image.info.setdefault("exif", Image.Exif().tobytes())
        image.getexif()[_ORIENTATION] = orientation


def swaps_sides(image: Image.Image) -> bool:
    """Returns whether width and height change places when the image is turned upright."""
    return read_orientation(image) >= _FIRST_SIDEWAYS


def turn_upright(image: Image.Image) -> Image.Image:
    """Turns and mirrors an image as its metadata says; returns the image itself if it is upright.

    The image is decoded first, because Pillow turns some formats when it decodes them.
    """
    image.load()
    method = _METHODS.get(read_orientation(image))
    return image if method is None else image.transpose(method)


def _separate_jpeg(content: bytes) -> tuple[bytes, int | None]:
    kept, exif, xmp = [_JPEG_START], [], b""
    position = len(_JPEG_START)
    for number in itertools.count():
        if padding := _JPEG_PADDING.match(content, position):
            position = padding.end()
        if content[position : position + 2] == bytes((0xFF, _JPEG_SCAN)):
            break
        if number == _MAX_SEGMENTS:
            raise ValueError(f"a JPEG of more than {_MAX_SEGMENTS:,} segments")
        if content[position : position + 1] != b"\xff" or position + 4 > len(content):
            return content, None
        marker, length = struct.unpack_from(">xBH", content, position)
        end = position + 2 + length
        segment = content[position + 4 : end]
        if length < 2 or end > len(content):
            return content, None
        if marker == 0xE1 and segment.startswith(_EXIF_HEAD):
            exif.append(segment[len(_EXIF_HEAD) :])  # long EXIF goes on in the next segment
        elif marker == 0xE1 and segment.startswith(_JPEG_XMP):
            xmp = segment
        elif marker in _JPEG_APPLICATION or marker == _JPEG_COMMENT:
            head, least = _JPEG_COLOURS.get(marker, (b"", 2**16))
            if segment.startswith(head) and len(segment) >= least:
                kept.append(content[position:end])
        else:
            kept.append(content[position:end])
        position = end
    return b"".join([*kept, content[position:]]), _choose(_parse_exif(b"".join(exif)), xmp)


def _separate_png(content: bytes) -> tuple[bytes, int]:
    kept, exif = [_PNG_START], b""
    texts: dict[bytes, tuple[bytes, bytes]] = {}  # kind of the chunk and its text, by keyword
    damaged = 0
    position = len(_PNG_START)
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if _is_critical(kind) and end > len(content):
            raise ValueError("a truncated PNG, with a chunk that goes beyond its end")
        data = content[position + 8 : end - 4]
        if _is_critical(kind) or kind in _PNG_FRAMES:
            kept.append(content[position:end])
        elif not _is_whole(content, position):
            damaged += 1
            if damaged > _MAX_DAMAGED:
                raise ValueError(f"a PNG with more than {_MAX_DAMAGED} damaged chunks")
            end = _find_next_chunk(content, position) or end
        elif kind == b"eXIf":
            exif = data
        elif kind in _PNG_TEXTS:
            keyword, _, rest = data.partition(b"\0")
            if keyword in (_PNG_XMP, _PNG_EXIF):
                texts[keyword] = kind, rest
        if kind == b"IEND":
            break
        position = end
    if not exif and _PNG_EXIF in texts:
        with contextlib.suppress(ValueError):
            # an empty line, the profile's name, its length, and lines of hexadecimal digits
            digits = b"".join(_read_text(*texts[_PNG_EXIF]).split(b"\n")[3:])
            exif = bytes.fromhex(digits.decode("latin-1"))
    xmp = _read_text(*texts[_PNG_XMP]) if _PNG_XMP in texts else b""
    return b"".join(kept), _choose(_parse_exif(exif), xmp)


def _is_critical(kind: bytes) -> bool:
    """Returns whether a PNG's chunk of this kind belongs to the image, by its first letter."""
    return not kind[0] & 0x20


def _is_whole(content: bytes, position: int) -> bool:
    """Returns whether the PNG's chunk at `position` lies within the file and has its checksum."""
    (length,) = struct.unpack_from(">I", content, position)
    end = position + 12 + length
    return end <= len(content) and content[end - 4 : end] == struct.pack(
        ">I", zlib.crc32(content[position + 4 : end - 4])
    )


def _find_next_chunk(content: bytes, position: int) -> int | None:
    """Finds the first whole chunk of the image after a damaged one, whose length may be wrong."""
    candidates = _PNG_NEXT.finditer(content, position + 8)
    for match in itertools.islice(candidates, _MAX_CANDIDATES):
        start = match.start() - 4
        if start > position and _is_whole(content, start):
            return start
    return None


def _read_text(kind: bytes, rest: bytes) -> bytes:
    """Reads a PNG's text, given what follows its keyword; empty if it is damaged or too long."""
    is_compressed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]  # the method of compression
    elif kind == b"iTXt":
        is_compressed = rest[:1] == b"\1"
        rest = rest[2:].split(b"\0", 2)[-1]  # after the language and the translated keyword
    if not is_compressed:
        return rest
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(rest, _MAX_TEXT)
    except zlib.error:
        return b""
    return b"" if stream.unconsumed_tail else text


def _choose(exif: int | None, xmp: bytes) -> int:
    """Returns EXIF's orientation, or XMP's if EXIF has none; 1 if it is no orientation."""
    found = _parse_xmp(xmp) if exif is None else exif
    return found if found in _METHODS else _UPRIGHT


def _parse_exif(exif: bytes) -> int | None:
    """Reads the orientation from EXIF's first directory; None if it has none or is damaged."""
    if heads := _EXIF_HEADS.match(exif):  # some programs write it several times
        exif = exif[heads.end() :]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2], "")
    with contextlib.suppress(struct.error):
        if not order:
            return None
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == _ORIENTATION and kind in _VALUE_FORMATS:
                (value,) = struct.unpack_from(order + _VALUE_FORMATS[kind], exif, entry + 8)
                return value
    return None


def _parse_xmp(xmp: bytes) -> int | None:
    match = _XMP_ORIENTATION.search(xmp)
    return int(match[1]) if match else None
