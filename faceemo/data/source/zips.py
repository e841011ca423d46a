"""Safe reading of zips from untrusted sources.

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

from faceemo.data.source.layout import format_examples
from faceemo.errors import UserError
from faceemo.staging import MAX_NAME_BYTES

# Far above any set of face crops (a million 48x48 JPEGs have 1.6 GB), far below what fills a disk
# or a day. Face JPEGs do not compress; flat bitmaps shrink perhaps 50-fold; bombs 1000-fold.
MAX_FILES = 2_000_000
MAX_FILE_BYTES = 256 * 2**20
MAX_CSV_BYTES = 8 * 2**30  # read line by line; FER2013's has 301 million
MAX_TOTAL_BYTES = 64 * 2**30
MAX_RATIO = 200

_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")  # left by macOS and Windows
# Raised by zipfile and the decompressors on damaged input.
_DAMAGE_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, UnicodeDecodeError),
)
# errno of an OSError that means damage, not a failing disk: bzip2 raises it for damaged data, and
# zipfile may seek before the file's start.
_DAMAGE_ERRNOS = (None, errno.EINVAL)


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Opens a zip after checking its directory, and yields it with its files by name.

    Files that systems leave behind and hidden ones are left out.

    Raises:
        UserError: If it is no zip, truncated, damaged, encrypted, implausibly large, or has unsafe
            or repeated names, links or devices; damage is also found in the body of the context.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive, _check_members(path, archive)
    except _DAMAGE_ERRORS as error:
        raise _damaged_zip(path, str(error)) from error
    except OSError as error:
        if error.errno not in _DAMAGE_ERRNOS:
            raise
        raise _damaged_zip(path, str(error)) from error


def read_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Reads one file of a zip; zipfile checks its CRC.

    Raises:
        UserError: If the file is not as long as the zip says.
    """
    result = archive.read(member)
    if len(result) != member.file_size:
        raise _damaged_zip(path, f"'{member.filename}' is not as long as the zip says")
    return result


def is_litter(name: str) -> bool:
    """Returns whether a path is hidden or of the kind that operating systems leave behind."""
    parts = name.split("/")
    return any(part in _LITTER or part.startswith(".") for part in parts)


def _check_members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Checks the directory of a zip and returns its files by name, without litter."""
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
    for value, limit, unit in limits:
        if value > limit:
            raise UserError(
                expected=f"at most {limit:,} {unit} in {path}",
                found=f"{value:,}: it may be a zip bomb",
                fix="get the zip again from its source; if you trust it, unpack it yourself and "
                "move it away",
            )
    unsafe = [entry.orig_filename for entry in entries if _is_unsafe(entry)]
    if unsafe:
        raise UserError(
            expected=f"plain files with relative names in {path}",
            found=f"{len(unsafe):,} unsafe (absolute, '..', backslash or drive, link, device, "
            f"encrypted): {format_examples(unsafe)}",
            fix="do not use this zip; get it again from its source",
        )
    members, repeated, names = {}, [], set()
    for entry in entries:
        if entry.is_dir() or is_litter(entry.filename):
            continue
        # names that differ only in case are one file on macOS and Windows
        if entry.filename.casefold() in names:
            repeated.append(entry.filename)
        names.add(entry.filename.casefold())
        members[entry.filename] = entry
    if repeated:
        raise UserError(
            expected=f"every name once in {path}",
            found=f"{len(repeated):,} repeated: {format_examples(repeated)}",
            fix="pack the zip again, each image once",
        )
    return members


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


def _damaged_zip(path: Path, problem: str) -> UserError:
    with path.open("rb") as stream:
        looks_like_zip = stream.read(2) == b"PK"
    return UserError(
        expected=f"a whole, undamaged zip at {path}",
        found=f"a damaged or truncated one ({problem})" if looks_like_zip else "no zip file",
        fix="download or copy it again",
    )
