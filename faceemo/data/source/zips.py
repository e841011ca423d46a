"""Zips from anywhere, read without risk.

Every name, kind and size in a zip's directory is checked before anything is read from it.
"""

import contextlib
import errno
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from faceemo.data.source.layout import some
from faceemo.errors import UserError

# Far above any set of face crops (a million 48x48 JPEGs have 1.6 GB), far below what fills a disk
# or a day. Face JPEGs do not compress; flat bitmaps shrink perhaps 50-fold; bombs 1000-fold.
MAX_FILES = 2_000_000
MAX_FILE_BYTES = 256 * 2**20
MAX_CSV_BYTES = 8 * 2**30  # read line by line; FER2013's has 301 million
MAX_TOTAL_BYTES = 64 * 2**30
MAX_RATIO = 200
MAX_NAME_BYTES = 255  # what file systems take

_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")  # of macOS and Windows
# What zipfile and the decompressors raise on damaged input.
_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, UnicodeDecodeError),
)
# Of an OSError: bzip2 raises it for damaged data, zipfile looks at places before the file's start.
_NOT_OF_THE_DISK = (None, errno.EINVAL)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """The archive and its files by name, every one of them safe, litter left out.

    Raises:
        UserError: also from the body: if it is no zip, truncated, damaged, encrypted, too large to
            be true, or has unsafe or repeated names, links or devices.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive, _members(path, archive)
    except _ERRORS as error:
        raise _broken(path, str(error)) from error
    except OSError as error:
        if error.errno not in _NOT_OF_THE_DISK:
            raise
        raise _broken(path, str(error)) from error


def content(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of one file; zipfile checks its CRC.

    Raises:
        UserError: if it is not as long as the zip says.
    """
    result = archive.read(member)
    if len(result) != member.file_size:
        raise _broken(path, f"'{member.filename}' is not as long as the zip says")
    return result


def is_litter(name: str) -> bool:
    """Whether a path is of the kind that systems leave behind, or hidden."""
    parts = name.split("/")
    return any(part in _LITTER or part.startswith(".") for part in parts)


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    tables = [entry.file_size for entry in entries if entry.filename.casefold().endswith(".csv")]
    files = [entry.file_size for entry in entries if not entry.filename.casefold().endswith(".csv")]
    limits = (
        (len(entries), MAX_FILES, "entries"),
        (max(files, default=0), MAX_FILE_BYTES, "bytes in one file"),
        (max(tables, default=0), MAX_CSV_BYTES, "bytes in one csv"),
        (total, MAX_TOTAL_BYTES, "bytes unpacked"),
        (total // max(path.stat().st_size, 1), MAX_RATIO, "times its own size unpacked"),
    )
    for value, limit, what in limits:
        if value > limit:
            raise UserError(
                expected=f"at most {limit:,} {what} in {path}",
                found=f"{value:,}: it may be a zip bomb",
                fix="get the zip again from its source; if it is right, unpack it yourself and "
                "move it away",
            )
    unsafe = [entry.orig_filename for entry in entries if _is_unsafe(entry)]
    if unsafe:
        raise UserError(
            expected=f"plain files with relative names in {path}",
            found=f"{len(unsafe):,} unsafe (absolute, '..', backslash or drive, link, device, "
            f"encrypted): {some(unsafe)}",
            fix="do not use this zip; get it again from its source",
        )
    kept, repeated, seen = {}, [], set()
    for entry in entries:
        if entry.is_dir() or is_litter(entry.filename):
            continue
        # names that differ only in case are one file on macOS and Windows
        if entry.filename.casefold() in seen:
            repeated.append(entry.filename)
        seen.add(entry.filename.casefold())
        kept[entry.filename] = entry
    if repeated:
        raise UserError(
            expected=f"every name once in {path}",
            found=f"{len(repeated):,} repeated: {some(repeated)}",
            fix="pack the zip again, each image once",
        )
    return kept


def _is_unsafe(entry: zipfile.ZipInfo) -> bool:
    name = entry.orig_filename  # as it stands in the zip; .filename ends at a NUL
    parts = name.removesuffix("/").split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)  # Unix file type, 0 if packed elsewhere
    return (
        any(part in ("", ".", "..") for part in parts)  # '' is also what a leading '/' leaves
        or any(character in name for character in "\\:\0")
        or any(len(part.encode(errors="surrogateescape")) > MAX_NAME_BYTES for part in parts)
        or kind not in (0, stat.S_IFREG, stat.S_IFDIR)
        or bool(entry.flag_bits & 0x1)  # encrypted
    )


def _broken(path: Path, problem: str) -> UserError:
    with path.open("rb") as stream:
        looks_like_zip = stream.read(2) == b"PK"
    return UserError(
        expected=f"a whole, undamaged zip at {path}",
        found=f"a damaged or truncated one ({problem})" if looks_like_zip else "no zip file",
        fix="download or copy it again",
    )
