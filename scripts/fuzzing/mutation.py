"""What is done to files: strategies of Hypothesis, which makes, remembers and simplifies them."""

import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from hypothesis import strategies as st

from . import corpus

# Where the structure of a format begins: places near them are chosen more often.
_MARKS = (
    *(b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"),  # zip
    *(b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"IDAT", b"eXIf", b"IEND"),  # PNG
    *(b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xdb", b"\xff\xe1", b"Exif"),
    *(b"VP8", b"ANIM", b"ANMF", b"\x21\xf9", b"\x2c\x00\x00", b"ftyp", b"ispe", b"jp2c", b"II*"),
    *(b"HTTP/", b"Host:", b"Content-", b"boundary", b"\r\n\r\n", b"--edge", b"name="),  # HTTP
)
_NEAR = 46  # bytes after a mark: as long as a zip's longest record
_INTERESTING = tuple(
    struct.pack(f"{order}{kind}", value & (2 ** (8 * size) - 1))
    for order in "<>"
    for kind, size in (("B", 1), ("H", 2), ("I", 4), ("Q", 8))
    for value in (0, 1, 2, 0x7F, 0x80, 255, 256, 4096, 65535, 10**7, 2**30, 2**31, 2**63, -2, -1)
    if value < 2 ** (8 * size)
)
_PIECE = 600  # bytes: of what is cut out, doubled or moved, at the most
_EDITS = 3
_PNG = b"\x89PNG\r\n\x1a\n"
# What names of files may hold that a careless reader stumbles over.
_ODD_NAMES = (
    *("../x.jpg", "/etc/x.jpg", "C:/x.jpg", "a\\b.jpg", "a//b.jpg", "train/happy/./1.jpg", "\0"),
    *("train/happy/" + "x" * 300, "train", "train/happy/", "é/ü.jpg", "__MACOSX/._x", "x" * 60_000),
    *("train/happy/1.jpg/2.jpg", "TRAIN/happy/1.jpg", "fer2013.csv"),
)


class Damaged(NamedTuple):
    """An input: a name, of which the suffix counts, and what is in the file."""

    name: str
    content: bytes

    def __repr__(self) -> str:
        return f"{self.name}, {len(self.content):,} bytes"


class Edit(NamedTuple):
    """One change of a file.

    Attributes:
        kind: of `KINDS`.
        mark: among the marks in the file; below 0 for a place that is counted from its ends.
        at: after the mark, or from the start; below 0 from the end.
        size: of the piece that is concerned.
        new: what is written.
    """

    kind: str
    mark: int
    at: int
    size: int
    new: bytes


KINDS = ("put", "flip", "insert", "double", "splice", "cut", "end")
_NEW = st.sampled_from(_INTERESTING) | st.binary(min_size=1, max_size=8)
_EDIT = st.builds(
    Edit,
    st.sampled_from(("put", "put", "put", "flip", *KINDS)),
    st.integers(-20, 40),
    st.integers(-300, 300) | st.integers(0, 2**16),
    st.integers(1, 16) | st.integers(1, _PIECE),
    _NEW,
)
_OPTIONS = st.text("?&=%/heatcrops01 \r\n\0é", max_size=30)


@st.composite
def image_files(draw: st.DrawFn) -> Damaged:
    """A damaged image file."""
    name, content = draw(_damaged(corpus.images()))
    # without a right checksum a reader does not look at what else is wrong
    return Damaged(name, mend_png(content) if draw(st.booleans()) else content)


@st.composite
def zip_files(draw: st.DrawFn) -> Damaged:
    """A zip: damaged, or with odd names and damaged images in it, or both."""
    odd = draw(st.dictionaries(_names(), image_files(), max_size=3))
    if not odd:
        return draw(_damaged(corpus.zips()))
    label = st.sampled_from(("happy", "neutral", "sad", "surprise"))
    files = {f"train/{draw(label)}/{number}.jpg": b"" for number in range(draw(st.integers(0, 3)))}
    for one in ("happy", "neutral", "sad", "surprise"):
        files[f"train/{one}/good.jpg"] = corpus.images()["grey.jpg"]
    files |= {name: content for name, (_, content) in odd.items()}
    content = corpus.packed(files, draw(st.sampled_from(corpus.METHODS)))
    return Damaged("made.zip", apply_all(content, draw(_edits(0)), content))


@st.composite
def requests(draw: st.DrawFn) -> Damaged:
    """A request: damaged anywhere, or whole but with a damaged picture or odd options."""
    if draw(st.booleans()):
        return draw(_damaged(corpus.requests()))
    name, content = draw(image_files())
    options = draw(st.sampled_from(("", "?crops=true", "?heat=true&crops=1")) | _OPTIONS)
    field = draw(st.sampled_from(("file", "file", "file", "", "\r\n", "other")))
    length = draw(st.none() | st.none() | st.integers(-1, 2**70))
    return Damaged(f"{name}.http", corpus.posted(content, f"/api/predict{options}", field, length))


def apply_all(content: bytes, edits: list[Edit], other: bytes) -> bytes:
    """The file with all the changes, one after the other; `other` is what is spliced in."""
    for edit in edits:
        content = _apply(content, edit, other)
    return content


def mend_png(content: bytes) -> bytes:
    """The same with the right checksum in every chunk, if it is a PNG."""
    if not content.startswith(_PNG):
        return content
    mended, at = bytearray(content), len(_PNG)
    while at + 12 <= len(mended):
        end = at + 8 + int.from_bytes(mended[at : at + 4], "big")
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = zlib.crc32(mended[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(mended)


@st.composite
def _damaged(draw: st.DrawFn, files: Mapping[str, bytes]) -> Damaged:
    names = st.sampled_from(sorted(files))
    name, other = draw(names), draw(names)
    return Damaged(name, apply_all(files[name], draw(_edits(1)), files[other]))


def _edits(least: int) -> st.SearchStrategy[list[Edit]]:
    return st.lists(_EDIT, min_size=least, max_size=_EDITS)


def _names() -> st.SearchStrategy[str]:
    label = st.sampled_from(("train/happy/", "train/sad/", "test/sad/", "train/", ""))
    plain = st.builds("{}{}.jpg".format, label, st.integers(0, 99))
    strange = st.builds("{}{}.jpg".format, label, st.text("ab/.\\ \0é\u202e", max_size=9))
    return plain | plain | plain | strange | st.sampled_from(_ODD_NAMES)


def _apply(content: bytes, edit: Edit, other: bytes) -> bytes:
    if not content:
        return edit.new
    at = _place(content, edit)
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


def _place(content: bytes, edit: Edit) -> int:
    marks = _marks(content) if edit.mark >= 0 else []
    near = marks[edit.mark % len(marks)] + edit.at % _NEAR if marks else edit.at
    return near % len(content)


def _marks(content: bytes) -> list[int]:
    found = []
    for mark in _MARKS:
        at = content.find(mark)
        while at >= 0:
            found.append(at)
            at = content.find(mark, at + 1)
    return sorted(found)
