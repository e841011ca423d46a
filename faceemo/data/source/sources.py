"""Where the images come from: the user's zip, folder or csv, found and read, never changed."""

import contextlib
import functools
import hashlib
import io
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol, TextIO

from faceemo.assets.downloads import file_digest
from faceemo.data.source import fer_csv, zips
from faceemo.data.source import layout as layouts
from faceemo.data.source.layout import Layout, some
from faceemo.errors import UserError

FOLDER = "Facial_emotion_images"
ZIP = f"{FOLDER}.zip"
RECORD = "preparation.json"  # of a dataset's folder, see `faceemo.data.prepare.prepare`

# What runs leave in a dataset's folder.
_OUTPUTS = (FOLDER, "face_detection", "unique_images", "pictures", "tfds", "sample")
_TABLES = ("fer2013.csv", "icml_face_data.csv")
_DEPTH = 8  # of folders that are looked into


class Source(Protocol):
    """A place that holds images."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    def sha256(self) -> str:
        """Of all that it holds."""
        ...

    def layout(self) -> Layout:
        """What it holds."""
        ...

    def contents(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """The files of some of the layout's paths, in an order of its own."""
        ...

    def total(self, paths: Collection[str]) -> int:
        """How many bytes these files have, at the most."""
        ...


def find(root: Path, named: Path | None, from_within: bool) -> Source:
    """The source of the dataset in `root`.

    That is the one that is named, or Facial_emotion_images.zip, or the folder of that name, or
    the only other zip, csv or tree of images in `root`.

    Args:
        root: the dataset's folder.
        named: by the user, or None.
        from_within: whether the folder Facial_emotion_images was made from another source in
            `root`; then it is one itself only if no other is left.

    Raises:
        UserError: if there is none, or more than one.
    """
    if named is not None:
        if not named.exists():
            raise UserError(
                expected="a zip, a folder or a csv as the source",
                found=f"nothing at {named}",
                fix="correct source",
            )
        return FolderSource(root, _OUTPUTS) if named.resolve() == root.resolve() else _opened(named)
    zip_path, folder = root / ZIP, root / FOLDER
    if zip_path.is_file():
        return _opened(zip_path)
    if folder.is_dir() and not from_within:
        return FolderSource(folder)
    candidates = _candidates(root) if root.is_dir() else []
    if len(candidates) > 1:
        paths = [f"{source.path}" for source in candidates]
        raise UserError(
            expected=f"one source of images in {root}",
            found=f"{len(candidates)}: {some(paths, 5)}",
            fix="name one of them with --source (--config.source for training)",
        )
    if candidates:
        return candidates[0]
    if folder.is_dir():
        return FolderSource(folder)
    raise UserError(
        expected=f"the face images as {zip_path} (or unpacked as {folder})",
        found="neither, nor another zip, csv or folder of images",
        fix=f"put the zip at {zip_path}, choose its folder with --data_dir "
        "(--config.data_dir for training), or name any zip, folder or csv with --source "
        "(--config.source)",
    )


def _candidates(root: Path) -> list[Source]:
    """What in `root` may be a source of images."""
    files = [path for path in sorted(root.iterdir()) if not zips.is_litter(path.name)]
    ends = (".zip", ".csv")
    found = [_opened(path) for path in files if path.suffix.casefold() in ends]
    tree = FolderSource(root, _OUTPUTS)
    try:
        if tree.files:
            tree.layout()
            found.append(tree)
    except UserError:
        if not found:  # of no concern beside another source
            raise
    return found


def _opened(path: Path) -> Source:
    if path.is_dir():
        return FolderSource(path)
    if path.suffix.casefold() == ".csv":
        return CsvSource(path, None)
    with zips.opened(path) as (_, members):
        tables = [name for name in members if PurePosixPath(name).name.casefold() in _TABLES]
    return CsvSource(path, tables[0]) if len(tables) == 1 else ZipSource(path)


class ZipSource:
    """Images in a zip."""

    def __init__(self, path: Path):
        self.path = path

    def sha256(self) -> str:
        """Of the zip."""
        return file_digest(self.path)

    def layout(self) -> Layout:
        """By the names in the zip; copies are known by size and CRC-32.

        What a damaged name would leave out must not go unread: each is compared with the second
        record of it that a zip has, at the file itself.
        """
        with zips.opened(self.path) as (archive, members):
            for member in members.values():
                archive.open(member).close()
            marks = {name: (member.file_size, member.CRC) for name, member in members.items()}
        return layouts.detect(str(self.path), marks)

    def contents(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """In the order of the zip."""
        wanted = set(paths)
        with zips.opened(self.path) as (archive, members):
            for name, member in members.items():
                if name in wanted:
                    yield name, zips.content(self.path, archive, member)

    def total(self, paths: Collection[str]) -> int:
        """What the zip says."""
        with zips.opened(self.path) as (_, members):
            return sum(members[name].file_size for name in paths)


class FolderSource:
    """Images in folders.

    Args:
        path: of the outermost.
        outputs: folders in it that are none of the user's. If there are, files beside them are
            not looked at either: a dataset's folder has several.
    """

    def __init__(self, path: Path, outputs: Collection[str] = ()):
        self.path = path
        self._outputs = outputs

    @functools.cached_property
    def files(self) -> dict[str, Path]:
        """Every visible file by its path below the folder, sorted.

        Raises:
            UserError: if something is neither file nor folder, a broken link for example.
        """
        found, strange = {}, []

        def walk(folder: Path, above: tuple[Path, ...], name: str) -> None:
            for path in folder.iterdir():
                inner = f"{name}{path.name}"
                if zips.is_litter(path.name):
                    continue
                if not name and self._outputs and (path.name in self._outputs or path.is_file()):
                    continue
                if path.is_file():
                    found[inner] = path
                elif not path.is_dir():
                    strange.append(inner)
                elif len(above) < _DEPTH and not (path / RECORD).exists():
                    resolved = path.resolve()
                    if resolved not in above:  # a link to a folder that it is in
                        walk(path, (*above, resolved), f"{inner}/")

        walk(self.path, (), "")
        if strange:
            raise UserError(
                expected=f"files and folders in {self.path}",
                found=f"{len(strange):,} that are neither (broken links, devices): "
                f"{some(sorted(strange))}",
                fix="remove them, or mend the links",
            )
        return dict(sorted(found.items()))

    def sha256(self) -> str:
        """Of the names and contents of all images."""
        total = hashlib.sha256()
        for name in sorted(self.layout().places):
            line = f"{file_digest(self.files[name])} {name}\n"
            total.update(line.encode(errors="surrogateescape"))
        return total.hexdigest()

    def layout(self) -> Layout:
        """By the names of the folders; copies are known by their sizes."""
        marks = {name: path.stat().st_size for name, path in self.files.items()}
        return layouts.detect(str(self.path), marks)

    def contents(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """In order of name."""
        for name in sorted(paths):
            yield name, self.files[name].read_bytes()

    def total(self, paths: Collection[str]) -> int:
        """The sum of the files' sizes."""
        return sum(self.files[name].stat().st_size for name in paths)


class CsvSource:
    """FER2013's table, plain or in a zip."""

    def __init__(self, path: Path, member: str | None):
        self.path = path
        self._member = member

    def sha256(self) -> str:
        """Of the file."""
        return file_digest(self.path)

    def layout(self) -> Layout:
        """By the rows."""
        with self._stream() as stream:
            return fer_csv.layout(str(self.path), stream)

    def contents(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """In order of row."""
        wanted = set(paths)
        with self._stream() as stream:
            for face in fer_csv.rows(str(self.path), stream):
                if face.name in wanted:
                    yield face.name, fer_csv.png(face.pixels)

    def total(self, paths: Collection[str]) -> int:
        """As many bytes as there are pixels, and a PNG's head each; a pixel is two characters."""
        return len(paths) * 100 + self._size() // 2

    def _size(self) -> int:
        if self._member is None:
            return self.path.stat().st_size
        with zips.opened(self.path) as (_, members):
            return members[self._member].file_size

    @contextlib.contextmanager
    def _stream(self) -> Iterator[TextIO]:
        if self._member is None:
            with self.path.open(encoding="utf-8-sig", newline="") as stream:
                yield stream
            return
        with zips.opened(self.path) as (archive, members):
            binary = archive.open(members[self._member])
            with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as stream:
                yield stream
