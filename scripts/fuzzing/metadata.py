"""Metadata, valid and damaged, that is inserted into JPEG and PNG files."""

import struct
import zlib
from typing import NamedTuple

from hypothesis import strategies as st

PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
_PNG_HEADER_SIZE = len(PNG_START) + 25  # with IHDR, which comes first
_MARKERS = (0xE0, 0xE1, 0xE1, 0xE2, 0xED, 0xEE, 0xFE)  # of JPEG: APP0 to APP14, and comments
_CHUNKS = (b"eXIf", b"iCCP", b"iTXt", b"tEXt", b"zTXt", b"tIME", b"gAMA", b"sRGB", b"acTL")
_HEADS = (
    *(b"", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0\1\1", b"JFIF\0"),
    *(b"Adobe\0d", b"MPF\0", b"XML:com.adobe.xmp\0", b"XML:com.adobe.xmp\0\1\0\0\0"),
    *(b"Raw profile type exif\0", b"Raw profile type exif\0\0", b"icc\0\0"),
)
_ORIENTATION = 0x0112  # EXIF's tag


class Metadata(NamedTuple):
    """One piece of metadata.

    Attributes:
        number: Chooses the marker of its segment or the kind of its chunk.
        content: Its bytes.
        is_whole: Whether the length and the checksum that are stored with it are right.
    """

    number: int
    content: bytes
    is_whole: bool


def make_xmp(orientation: int | str) -> bytes:
    """Makes XMP that states an orientation."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
        '22-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


def pieces() -> st.SearchStrategy[list[Metadata]]:
    """Draws up to three pieces of metadata."""
    body = (
        st.binary(max_size=40)
        | st.sampled_from((0, 1, 6, 8, 9, "x")).map(make_xmp)
        | st.builds(
            _make_exif,
            st.sampled_from((b"II*\0", b"MM\0*", b"II", b"MM\0+")),
            st.sampled_from((8, 8, 8, 0, 6, 2**31, 2**32 - 1)),
            st.sampled_from((1, 1, 1, 0, 2, 65535)),
            st.sampled_from((1, 3, 4, 5, 255)),
            st.integers(0, 9) | st.integers(0, 2**32 - 1),
        )
        | st.sampled_from((10, 2**16, 2**21, 2**24)).map(lambda size: zlib.compress(bytes(size)))
        | st.integers(0, 2000).map(lambda size: b"exif\n    8\n" + b"4d4d002a" * size)
    )
    content = st.builds(bytes.__add__, st.sampled_from(_HEADS), body)
    piece = st.builds(Metadata, st.integers(0, 255), content, st.sampled_from((True, True, False)))
    return st.lists(piece, min_size=1, max_size=3)


def insert(content: bytes, metadata: list[Metadata]) -> bytes:
    """Inserts metadata after the header of a JPEG or PNG; other files are returned unchanged."""
    if content.startswith(_JPEG_START):
        at, encode = len(_JPEG_START), _make_segment
    elif content.startswith(PNG_START):
        at, encode = _PNG_HEADER_SIZE, _make_chunk
    else:
        return content
    return content[:at] + b"".join(map(encode, metadata)) + content[at:]


def _make_segment(one: Metadata) -> bytes:
    length = min(len(one.content) + 2, 65535)
    marker = _MARKERS[one.number % len(_MARKERS)]
    stated = length if one.is_whole else length ^ (1 << one.number % 16)
    return struct.pack(">BBH", 0xFF, marker, stated) + one.content[: length - 2]


def _make_chunk(one: Metadata) -> bytes:
    kind = _CHUNKS[one.number % len(_CHUNKS)]
    length, checksum = len(one.content), zlib.crc32(kind + one.content)
    if not one.is_whole:
        length, checksum = length ^ (1 << one.number % 32), checksum ^ (one.number & 1)
    return struct.pack(">I4s", length, kind) + one.content + struct.pack(">I", checksum)


def _make_exif(head: bytes, start: int, count: int, kind: int, value: int) -> bytes:
    """Makes EXIF of one directory with an orientation, whose numbers need not be valid."""
    order = "<" if head.startswith(b"II") else ">"
    entry = struct.pack(f"{order}HHII", _ORIENTATION, kind, 1, value)
    return head + struct.pack(f"{order}IH", start, count) + entry + bytes(4)
