"""Safe reading of zips from untrusted sources.

Every name, kind and size in a zip's directory is checked before anything is read from it.
"""

import contextlib
import errno
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from faceemo.data.source.layout import format_examples
from faceemo.errors import UserError

# Far above any set of face crops (a million 48x48 JPEGs have 1.6 GB), far below what fills a disk
# or a day. Face JPEGs do not compress; flat bitmaps shrink perhaps 50-fold; bombs 1000-fold.
MAX_FILES = 2_000_000
MAX_FILE_BYTES = 256 * 2**20
MAX_CSV_BYTES = 8 * 2**30  # read line by line; FER2013's has 301 million
MAX_TOTAL_BYTES = 64 * 2**30
MAX_RATIO = 200
_UTF_8 = 0x800  # the flag of names in UTF-8
_ENCRYPTED = "encrypted files"
_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")  # left by macOS and Windows
_TAR_MAGIC = 257, b"ustar"
# Position and bytes by which other archives are recognised.
_OTHER_ARCHIVES = {
    "tar": _TAR_MAGIC,
    "gzip (tar.gz)": (0, b"\x1f\x8b"),
    "bzip2 (tar.bz2)": (0, b"BZh"),
    "xz (tar.xz)": (0, b"\xfd7zXZ"),
    "zstd (tar.zst)": (0, b"\x28\xb5\x2f\xfd"),
    "7z": (0, b"7z\xbc\xaf\x27\x1c"),
    "rar": (0, b"Rar!"),
}
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
    names = [_read_name(entry) for entry in entries]
    _refuse_unsafe(path, entries, names)
    members, repeated, known = {}, [], set()
    for entry, name in zip(entries, names, strict=True):
        if name.endswith("/") or is_litter(name := "/".join(_split_name(name))):
            continue
        # names that differ only in case are one file on macOS and Windows
        if name.casefold() in known:
            repeated.append(name)
        known.add(name.casefold())
        members[name] = entry
    if repeated:
        raise UserError(
            expected=f"every name once in {path}",
            found=f"{len(repeated):,} repeated: {format_examples(repeated)}",
            fix="pack the zip again, each image once",
        )
    return members


def _read_name(entry: zipfile.ZipInfo) -> str:
    """Returns the name of a zip's entry with '/' between folders, whatever program wrote it.

    Names without the mark of UTF-8 are read as UTF-8 nevertheless if they can be, as macOS writes
    them; otherwise as code page 437, as the format has it. Some programs of Windows write
    backslashes between folders.
    """
    name = entry.orig_filename  # as it stands in the zip; .filename ends at a NUL
    legacy = False
    if not entry.flag_bits & _UTF_8:
        raw = name.encode("cp437")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            legacy = True
    if legacy and "/" in name:
        # In Japanese and Chinese encodings a backslash may be the second byte of a character.
        name = re.sub(r"(?<=[^\0-\x7f])\\", "_", name)
    return name.replace("\\", "/")


def _refuse_unsafe(path: Path, entries: Sequence[zipfile.ZipInfo], names: Sequence[str]) -> None:
    """Raises a UserError that names the entries which cannot be read safely, and the reasons."""
    found: dict[str, list[str]] = {}
    for entry, name in zip(entries, names, strict=True):
        if problem := _find_problem(entry, name):
            found.setdefault(problem, []).append(entry.orig_filename)
    if not found:
        return
    if set(found) == {_ENCRYPTED}:
        raise UserError(
            expected=f"a zip that can be read without a password at {path}",
            found=f"{len(found[_ENCRYPTED]):,} {_ENCRYPTED}",
            fix="unpack it with its password, and name the folder as the source",
        )
    reasons = (
        f"{len(unsafe):,} {problem}: {format_examples(unsafe)}" for problem, unsafe in found.items()
    )
    raise UserError(
        expected=f"plain files with relative names in {path}",
        found=f"unsafe ones: {'; '.join(reasons)}",
        fix="do not use this zip; get it again from its source",
    )


def _find_problem(entry: zipfile.ZipInfo, name: str) -> str | None:
    """Says why an entry cannot be read safely, or returns None if it can."""
    parts = name.split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)  # Unix file type, 0 if packed elsewhere
    if name.startswith("/") or re.match(r"[A-Za-z]:(/|$)", name):
        return "with absolute names"
    if ".." in parts:
        return "with '..' in their names"
    if "\0" in name:
        return "with a NUL character in their names"
    if not _split_name(name) and not name.endswith("/"):
        return "without a name"
    if kind == stat.S_IFLNK:
        return "symbolic links"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "devices or other special files"
    if entry.flag_bits & 0x1:
        return _ENCRYPTED
    return None


def _split_name(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _damaged_zip(path: Path, problem: str) -> UserError:
    with path.open("rb") as stream:
        start = stream.read(_TAR_MAGIC[0] + len(_TAR_MAGIC[1]))
    for name, (at, magic) in _OTHER_ARCHIVES.items():
        if start[at:].startswith(magic):
            return UserError(
                expected=f"a zip, a folder or a csv at {path}",
                found=f"a {name} archive",
                fix="unpack it, and name the folder as the source",
            )
    return UserError(
        expected=f"a whole, undamaged zip at {path}",
        found=f"a damaged or truncated one ({problem})" if start[:2] == b"PK" else "no zip file",
        fix="download or copy it again",
    )
