"""The originals: a zip to unpack without risk, or the user's own folder.

A zip comes from anywhere. Nothing is written before every name, kind and size in its directory
is checked, and the folder appears only when the last byte is verified.
"""

import dataclasses
import hashlib
import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from faceemo import staging
from faceemo.config import CLASSES, SPLITS
from faceemo.errors import UserError

FOLDER = "Facial_emotion_images"
ZIP = f"{FOLDER}.zip"

# Far above any set of face crops (a million 48x48 JPEGs have 1.6 GB), far below what fills a disk
# or a day. Face JPEGs do not compress; flat bitmaps shrink perhaps 50-fold; bombs 1000-fold.
MAX_FILES = 2_000_000
MAX_FILE_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 64 * 2**30
MAX_RATIO = 200
MAX_NAME_BYTES = 255  # what file systems take

_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")  # of macOS and Windows
# What zipfile and the decompressors raise on damaged input.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
_SHOWN = 3  # examples in a message
_CHUNK = 2**20


@dataclasses.dataclass(frozen=True)
class Originals:
    """The unpacked images and what identifies them."""

    folder: Path
    images: dict[str, str]  # path below the folder ('train/happy/7.jpg') -> sha256, by path
    zip_sha256: str | None  # None without a zip
    unpacked: bool  # whether this call unpacked the zip

    @property
    def fingerprint(self) -> dict[str, str | None]:
        """What the next call needs to recognise them: the zip's sha256 and the images'."""
        return {"zip": self.zip_sha256, "images": _digest(self.images)}


def check_present(root: Path) -> None:
    """Raises a UserError, which says where to put the zip, if `root` has no zip and no folder."""
    zip_path, folder = root / ZIP, root / FOLDER
    if not zip_path.is_file() and not folder.is_dir():
        raise UserError(
            expected=f"the face images as {zip_path} (or unpacked as {folder})",
            found="neither",
            fix=f"put the zip at {zip_path}, or choose its folder with --data_dir "
            "(--config.data_dir for training)",
        )


def originals(root: Path, recorded: dict[str, str | None] | None = None) -> Originals:
    """The images in root/Facial_emotion_images, unpacked from the zip beside it if need be.

    A folder without a zip is the user's own and is taken as it is. A folder that this function
    made is replaced when the zip has changed; any other folder is never touched.

    Args:
        root: the folder that holds the zip, the folder, or both.
        recorded: the `fingerprint` of an earlier call, or None.

    Raises:
        UserError: if there is neither zip nor folder, if they disagree, or if either of them is
            damaged, unsafe or not made of the splits and classes.
    """
    check_present(root)
    zip_path, folder = root / ZIP, root / FOLDER
    if not zip_path.exists():
        return Originals(folder, hashes(folder), None, unpacked=False)
    with zip_path.open("rb") as stream:
        zip_sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if folder.exists():
        images = hashes(folder)
        if recorded == {"zip": zip_sha256, "images": _digest(images)}:
            return Originals(folder, images, zip_sha256, unpacked=False)
        differing = _differing(zip_path, folder, images)
        if not differing:
            return Originals(folder, images, zip_sha256, unpacked=False)
        made_here = recorded and recorded["zip"] and recorded["images"] == _digest(images)
        if not made_here:
            raise UserError(
                expected=f"the same images in {folder} as in {ZIP} beside it",
                found=f"{len(differing):,} differ or are on one side only: {_some(differing)}",
                fix=f"move {zip_path} away to use the folder as it is, or the folder away to "
                "unpack the zip",
            )
    unpack(zip_path, folder)
    return Originals(folder, hashes(folder), zip_sha256, unpacked=True)


def hashes(folder: Path) -> dict[str, str]:
    """The sha256 of every image in `folder`, by path below it, sorted.

    Every visible file in a class folder counts as an image; what cannot be decoded is told later.

    Raises:
        UserError: if `folder` is not made of split/class folders, or one of them has no image.
    """
    found = (path for depth in ("*", "*/*", "*/*/*") for path in folder.glob(depth))
    entries = {path.relative_to(folder).as_posix(): path for path in found}
    entries = {name: path for name, path in entries.items() if not _is_litter(name)}
    files = {name: path for name, path in entries.items() if path.is_file()}
    folders = [name for name, path in entries.items() if path.is_dir()]
    _check_layout(folder, files, folders)
    # a few large reads at a time would gain nothing: 20,000 files take 0.3 s
    return {name: hashlib.sha256(files[name].read_bytes()).hexdigest() for name in sorted(files)}


def unpack(zip_path: Path, folder: Path) -> None:
    """Unpacks `zip_path` to `folder`, replacing it, as split/class/name.

    The names in the zip may start with 'Facial_emotion_images/'. Litter of macOS and Windows is
    left out. Dates and permissions in the zip are not applied.

    Raises:
        UserError: if the zip is no zip, truncated, damaged, encrypted, too large to be true, has
            unsafe or repeated names, links, or other folders than the splits and classes.
    """
    try:
        with zipfile.ZipFile(zip_path) as archive:
            members = _members(zip_path, archive)
            with staging.folder(folder) as partial:
                for split in SPLITS:
                    for label in CLASSES:
                        (partial / split / label).mkdir(parents=True)
                for name, member in tqdm(members.items(), "unpack", disable=None, unit="file"):
                    _extract(zip_path, archive, member, partial / name)
    except _ZIP_ERRORS as error:
        raise _broken(zip_path, str(error)) from error


def _members(zip_path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files of the archive by their path below the folder, every one of them safe."""
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    largest = max((entry.file_size for entry in entries), default=0)
    limits = (
        (len(entries), MAX_FILES, "entries"),
        (largest, MAX_FILE_BYTES, "bytes in one file"),
        (total, MAX_TOTAL_BYTES, "bytes unpacked"),
        (total // max(zip_path.stat().st_size, 1), MAX_RATIO, "times its own size unpacked"),
    )
    for value, limit, what in limits:
        if value > limit:
            raise UserError(
                expected=f"at most {limit:,} {what} in {zip_path}",
                found=f"{value:,}: it may be a zip bomb",
                fix="get the zip again from its source; if it is right, unpack it yourself and "
                "move it away",
            )
    free = shutil.disk_usage(zip_path.parent).free
    if total > free:
        raise UserError(
            expected=f"{total / 2**20:,.0f} MiB of free disk to unpack {zip_path}",
            found=f"{free / 2**20:,.0f} MiB",
            fix="free some, or choose another folder with --data_dir",
        )
    unsafe = [entry.orig_filename for entry in entries if _is_unsafe(entry)]
    if unsafe:
        raise UserError(
            expected=f"plain files with relative names in {zip_path}",
            found=f"{len(unsafe):,} unsafe (absolute, '..', backslash or drive, link, device, "
            f"encrypted): {_some(unsafe)}",
            fix="do not use this zip; get it again from its source",
        )
    files, folders, repeated = {}, [], []
    seen = set()
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        name = "/".join(parts[1:] if parts[0] == FOLDER else parts)
        if not name or _is_litter(name):
            continue
        if entry.is_dir():
            folders.append(name)
            continue
        # names that differ only in case are one file on macOS and Windows
        if name.casefold() in seen:
            repeated.append(name)
        seen.add(name.casefold())
        files[name] = entry
    if repeated:
        raise UserError(
            expected=f"every name once in {zip_path}",
            found=f"{len(repeated):,} repeated: {_some(repeated)}",
            fix="pack the zip again, each image once",
        )
    _check_layout(zip_path, files, folders)
    return files


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


def _extract(
    zip_path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path
) -> None:
    """Writes one file; zipfile checks its CRC when the end is read."""
    left = member.file_size
    with archive.open(member) as source, target.open("xb") as sink:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            sink.write(chunk)
    if left:
        raise _broken(zip_path, f"'{member.filename}' is not as long as the zip says")


def _check_layout(source: Path, files: Iterable[str], folders: Iterable[str]) -> None:
    """Raises a UserError unless all is split/class/name and each class has an image."""
    expected = {f"{split}/{label}" for split in SPLITS for label in CLASSES}
    found = {name.rpartition("/")[0] for name in files}
    strange = sorted(
        {name for name in files if name.rpartition("/")[0] not in expected}
        | {name for name in folders if name not in expected and name not in SPLITS}
    )
    missing = sorted(expected - found)
    if strange or missing:
        problems = []
        if missing:
            problems.append(f"no image in {_some(missing, len(expected))}")
        if strange:
            problems.append(f"{len(strange):,} that belong nowhere: {_some(strange)}")
        raise UserError(
            expected=f"{{{','.join(SPLITS)}}}/{{{','.join(CLASSES)}}}/<image> in {source}",
            found="; ".join(problems),
            fix="name the folders exactly so (lower case) and put only images into them",
        )


def _differing(zip_path: Path, folder: Path, images: dict[str, str]) -> list[str]:
    """The paths whose size or CRC-32 differ between zip and folder, or that one side lacks."""
    try:
        with zipfile.ZipFile(zip_path) as archive:
            members = _members(zip_path, archive)
    except _ZIP_ERRORS as error:
        raise _broken(zip_path, str(error)) from error
    differing = set(members).symmetric_difference(images)
    for name in set(members).intersection(images):
        content = (folder / name).read_bytes()
        entry = members[name]
        if (len(content), zlib.crc32(content)) != (entry.file_size, entry.CRC):
            differing.add(name)
    return sorted(differing)


def _broken(zip_path: Path, problem: str) -> UserError:
    with zip_path.open("rb") as stream:
        looks_like_zip = stream.read(2) == b"PK"
    return UserError(
        expected=f"a whole, undamaged zip at {zip_path}",
        found=f"a damaged or truncated one ({problem})" if looks_like_zip else "no zip file",
        fix="download or copy it again",
    )


def _is_litter(name: str) -> bool:
    parts = name.split("/")
    return any(part in _LITTER or part.startswith(".") for part in parts)


def _digest(images: dict[str, str]) -> str:
    lines = "".join(f"{sha256} {name}\n" for name, sha256 in sorted(images.items()))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def _some(names: list[str], shown: int = _SHOWN) -> str:
    listed = ", ".join(repr(name) for name in names[:shown])
    return listed + (", ..." if len(names) > shown else "")
