"""Hypothesis strategies that damage valid files."""

import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from hypothesis import strategies as st

from faceemo.config import CLASSES

from . import corpus, films, metadata, tables

# Byte strings at which a structure of a format begins; edits are more frequent after them.
_MARKERS = (
    *(b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"),  # zip
    *(b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"IDAT", b"eXIf", b"IEND"),  # PNG
    *(b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"fdAT"),
    *(b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xdb", b"\xff\xe1", b"Exif"),
    *(b"\xff\xe2", b"\xff\xee", b"ICC_PROFILE", b"tiff:Orientation", b"ns.adobe", b"MM\0*"),
    *(b"VP8", b"ANIM", b"ANMF", b"\x21\xf9", b"\x2c\x00\x00", b"ftyp", b"ispe", b"jp2c", b"II*"),
    *(b"EXIF", b"XMP ", b"ALPH", b"NETSCAPE"),  # WebP and GIF
    # HEIF, AVIF, and MP4
    *(b"meta", b"pitm", b"iinf", b"infe", b"iref", b"iloc", b"ipco", b"ipma", b"irot", b"imir"),
    *(b"hvcC", b"av1C", b"pixi", b"auxC", b"idat", b"mdat", b"moov", b"mvhd", b"stsd", b"stsz"),
    *(b"stts", b"avih", b"strh", b"movi", b"FLV"),
    *(b"HTTP/", b"Host:", b"Content-", b"boundary", b"\r\n\r\n", b"--edge", b"name="),  # HTTP
)
_MARKER_RANGE = 46  # bytes after a marker, the length of the longest record of a zip
_INTERESTING_NUMBERS = tuple(
    struct.pack(f"{order}{kind}", value & (2 ** (8 * size) - 1))
    for order in "<>"
    for kind, size in (("B", 1), ("H", 2), ("I", 4), ("Q", 8))
    for value in (0, 1, 2, 0x7F, 0x80, 255, 256, 4096, 65535, 10**7, 2**30, 2**31, 2**63, -2, -1)
    if value < 2 ** (8 * size)
)
_MAX_PIECE = 600  # bytes that an edit cuts out, doubles or copies
_MAX_EDITS = 3
# File names that a careless reader handles wrongly.
_ODD_NAMES = (
    *("../x.jpg", "/etc/x.jpg", "C:/x.jpg", "a\\b.jpg", "a//b.jpg", "train/happy/./1.jpg", "\0"),
    *("train/happy/" + "x" * 300, "train", "train/happy/", "é/ü.jpg", "__MACOSX/._x", "x" * 60_000),
    *("train/happy/1.jpg/2.jpg", "TRAIN/happy/1.jpg", "fer2013.csv"),
    *("train\\happy\\1.jpg", "./train/happy/1.jpg", "train/./happy//1.jpg", "train/happy/1:2.jpg"),
    *("train/happy/anna/1.jpg", "train/happy/anna-1.jpg", "train/happy/a/b/c/1.jpg", "."),
    *("happy/anna/1.jpg", "sad/berta/2.jpg", "train/happy /1.jpg", "train/Happy/1.jpg", "./"),
    *("train/happy/\udcfc.jpg", "train/\udcfcber/1.jpg", "train/happy/\udc95\\.jpg"),
    *("train/fro\u0308hlich/1.jpg", "train/happy/o\u0308.jpg", "train/happy/\xf6.jpg"),
    *("train/happy/" + "\xfc" * 140 + ".jpg", "train/happy/" + "a/" * 200 + "1.jpg"),
    *("train/ha\x1b[31mppy/1.jpg", "train/happy/\u202e.heic", "train/happy/1.heic"),
)


class DamagedFile(NamedTuple):
    """A damaged file: its name, of which the suffix matters, and its content."""

    name: str
    content: bytes

    def __repr__(self) -> str:
        return f"{self.name}, {len(self.content):,} bytes"


class Edit(NamedTuple):
    """One edit of a file.

    Attributes:
        kind: One of `KINDS`.
        marker: Index (modulo their number) of a marker in the file; below 0 for none.
        offset: Bytes after the marker; without a marker, from the start, or if negative from the
            end of the file.
        size: Number of bytes that the edit concerns.
        new: Bytes to write.
    """

    kind: str
    marker: int
    offset: int
    size: int
    new: bytes


KINDS = ("put", "flip", "insert", "double", "splice", "cut", "end")
_NEW_BYTES = st.sampled_from(_INTERESTING_NUMBERS) | st.binary(min_size=1, max_size=8)
_EDIT = st.builds(
    Edit,
    st.sampled_from(("put", "put", "put", "flip", *KINDS)),
    st.integers(-20, 40),
    st.integers(-300, 300) | st.integers(0, 2**16),
    st.integers(1, 16) | st.integers(1, _MAX_PIECE),
    _NEW_BYTES,
)
_QUERIES = st.text("?&=%/heatcrops01 \r\n\0é", max_size=30)


@st.composite
def image_files(draw: st.DrawFn) -> DamagedFile:
    """Draws an image file that is damaged or has odd metadata, or both."""
    odd_metadata = draw(st.just([]) | st.just([]) | metadata.pieces())
    name, content = draw(_damaged_files(corpus.images(), 0 if odd_metadata else 1))
    # A reader ignores chunks with wrong checksums, so half of the files get correct ones.
    content = repair_png_checksums(content) if draw(st.booleans()) else content
    return DamagedFile(name, metadata.insert(content, odd_metadata))


def picture_files() -> st.SearchStrategy[DamagedFile]:
    """Draws damaged image files, and damaged films among them."""
    return st.one_of(image_files(), image_files(), image_files(), _damaged_files(films.films()))


@st.composite
def source_files(draw: st.DrawFn) -> DamagedFile:
    """Draws a zip that is damaged, or contains odd names and damaged images, or both; or a csv."""
    kind = draw(st.sampled_from(("damaged", "made", "made", "table")))
    if kind == "damaged":
        return draw(_damaged_files(corpus.zips()))
    if kind == "table":
        return draw(_table_files())
    odd = draw(st.dictionaries(_names(), image_files(), max_size=3))
    label = st.sampled_from(CLASSES)
    files = {f"train/{draw(label)}/{number}.jpg": b"" for number in range(draw(st.integers(0, 3)))}
    folder = draw(st.sampled_from(("train/{}", "train/{}", "train/{}/anna", "{}/anna", "{}")))
    for each in CLASSES:
        files[f"{folder.format(each)}/good.jpg"] = corpus.images()["grey.jpg"]
    files |= {name: content for name, (_, content) in odd.items()}
    content = corpus.make_zip(files, draw(st.sampled_from(corpus.ZIP_METHODS)))
    return DamagedFile("made.zip", apply_edits(content, draw(_edits(0)), content))


@st.composite
def requests(draw: st.DrawFn) -> DamagedFile:
    """Draws a request that is damaged, or has a damaged image, odd options or a wrong length."""
    if draw(st.booleans()):
        return draw(_damaged_files(corpus.requests()))
    name, content = draw(image_files())
    query = draw(st.sampled_from(("", "?crops=true", "?heat=true&crops=1")) | _QUERIES)
    field = draw(st.sampled_from(("file", "file", "file", "", "\r\n", "other")))
    length = draw(st.none() | st.none() | st.integers(-1, 2**70))
    request = corpus.make_upload(content, f"/api/predict{query}", field, length)
    return DamagedFile(f"{name}.http", request)


def apply_edits(content: bytes, edits: list[Edit], other: bytes) -> bytes:
    """Applies the edits in order; 'splice' inserts bytes of `other`."""
    for edit in edits:
        content = _apply(content, edit, other)
    return content


def repair_png_checksums(content: bytes) -> bytes:
    """Returns a PNG with correct checksums in all chunks; other files unchanged."""
    if not content.startswith(metadata.PNG_START):
        return content
    repaired, at = bytearray(content), len(metadata.PNG_START)
    while at + 12 <= len(repaired):
        end = at + 8 + int.from_bytes(repaired[at : at + 4], "big")
        if end + 4 > len(repaired):
            break
        repaired[end : end + 4] = zlib.crc32(repaired[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(repaired)


@st.composite
def _damaged_files(draw: st.DrawFn, files: Mapping[str, bytes], min_edits: int = 1) -> DamagedFile:
    names = st.sampled_from(sorted(files))
    name, other = draw(names), draw(names)
    return DamagedFile(name, apply_edits(files[name], draw(_edits(min_edits)), files[other]))


@st.composite
def _table_files(draw: st.DrawFn) -> DamagedFile:
    """Draws a damaged table, plain or in a zip."""
    if draw(st.booleans()):
        return draw(_damaged_files(tables.tables()))
    table = draw(tables.made_tables())
    if draw(st.booleans()):
        return DamagedFile("made.csv", table)
    return DamagedFile("table.zip", corpus.make_zip({"fer2013.csv": table}))


def _edits(min_size: int) -> st.SearchStrategy[list[Edit]]:
    return st.lists(_EDIT, min_size=min_size, max_size=_MAX_EDITS)


def _names() -> st.SearchStrategy[str]:
    label = st.sampled_from(("train/happy/", "train/sad/", "test/sad/", "train/", ""))
    plain = st.builds("{}{}.jpg".format, label, st.integers(0, 99))
    odd = st.builds("{}{}.jpg".format, label, st.text("ab/.\\: \0é\u202e\udcfc\x1b", max_size=9))
    return plain | plain | plain | odd | st.sampled_from(_ODD_NAMES)


def _apply(content: bytes, edit: Edit, other: bytes) -> bytes:
    if not content:
        return edit.new
    at = _locate(content, edit)
    piece = content[at : at + edit.size]
    before, after = content[:at], content[at + len(piece) :]
    if edit.kind == "put":
        return before + edit.new + content[at + len(edit.new) :]
    if edit.kind == "flip":
        return before + bytes([content[at] ^ (1 << edit.size % 8)]) + content[at + 1 :]
    if edit.kind == "insert":
        return before + edit.new + content[at:]
    if edit.kind == "cut":
        return before + after
    if edit.kind == "double":
        return before + piece + piece + after
    if edit.kind == "end":
        return before
    start = edit.size * 7 % max(1, len(other))
    return before + other[start : start + edit.size] + after


def _locate(content: bytes, edit: Edit) -> int:
    markers = _find_markers(content) if edit.marker >= 0 else []
    if markers:
        at = markers[edit.marker % len(markers)] + edit.offset % _MARKER_RANGE
    else:
        at = edit.offset
    return at % len(content)


def _find_markers(content: bytes) -> list[int]:
    positions = []
    for marker in _MARKERS:
        at = content.find(marker)
        while at >= 0:
            positions.append(at)
            at = content.find(marker, at + 1)
    return sorted(positions)
