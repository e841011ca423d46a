"""Sources of images: the user's zip, folder or csv, found and read, never changed."""

import functools
import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from faceemo.assets.downloads import file_digest
from faceemo.config.field_words import spell
from faceemo.data.source import flat_folder, image_table, zips
from faceemo.data.source import layout as layouts
from faceemo.data.source.csv_source import CsvSource
from faceemo.data.source.image_table import ImageTable
from faceemo.data.source.layout import Layout, format_examples
from faceemo.errors import UserError

FOLDER = "Facial_emotion_images"
ZIP = f"{FOLDER}.zip"
RECORD = "preparation.json"  # in a dataset's folder, see `faceemo.data.prepare.prepare`

# Folders that runs write in a dataset's folder.
_OUTPUTS = (FOLDER, "face_detection", "unique_images", "pictures", "tfds", "sample")
_FER_CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
_MAX_DEPTH = 8  # of nested folders


class Source(Protocol):
    """A zip, folder or csv that holds images."""

    @property
    def path(self) -> Path:
        """Path of the zip, folder or csv."""
        ...

    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes a sha256 that changes with the images.

        Args:
            classes: Names of classes, if they are known (`layout.detect`).
        """
        ...

    def layout(self, classes: Collection[str] = ()) -> Layout:
        """Detects the layout of the images.

        Args:
            classes: Names of classes, if they are known (`layout.detect`).

        Raises:
            UserError: If the layout is unknown or ambiguous.
        """
        ...

    def read_files(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of some of the layout's images, in the source's order."""
        ...

    def total_bytes(self, paths: Collection[str]) -> int:
        """Returns an upper bound of the total size of some images, in bytes."""
        ...

    def table(self, classes: Collection[str] = ()) -> ImageTable | None:
        """Reads the table of labels or votes that the source holds; None if it has none.

        Args:
            classes: Names of classes, of which columns may hold votes.

        Raises:
            UserError: If there is more than one, or a row is not valid.
        """
        ...


def find(root: Path, named: Path | None, from_within: bool) -> Source:
    """Finds the source of the dataset in `root`.

    It is the source that the user named, or Facial_emotion_images.zip, or the folder of that name,
    or the only other zip, csv or tree of images in `root`.

    Args:
        root: The dataset's folder.
        named: Path of the source that the user named, or None.
        from_within: Whether the folder Facial_emotion_images was made from another source in
            `root`; it is then a source itself only if no other is left.

    Raises:
        UserError: If there is no source, or more than one.
    """
    if named is not None:
        if not named.exists():
            raise UserError(
                expected="a zip, a folder or a csv as the source",
                found=f"nothing at {named}",
                fix=f"correct {spell('source')}",
            )
        return FolderSource(root, _OUTPUTS) if named.resolve() == root.resolve() else _open(named)
    zip_path, folder = root / ZIP, root / FOLDER
    if zip_path.is_file():
        return _open(zip_path)
    if folder.is_dir() and not from_within:
        return FolderSource(folder)
    candidates = _find_candidates(root) if root.is_dir() else []
    if len(candidates) > 1:
        paths = [f"{source.path}" for source in candidates]
        raise UserError(
            expected=f"one source of images in {root}",
            found=f"{len(candidates)}: {format_examples(paths, 5)}",
            fix=f"name one of them with {spell('source')}",
        )
    if candidates:
        return candidates[0]
    if folder.is_dir():
        return FolderSource(folder)
    raise UserError(
        expected=f"the face images as {zip_path} (or unpacked as {folder})",
        found="neither, nor another zip, csv or folder of images",
        fix=f"put the zip at {zip_path}, choose its folder with {spell('data_dir')}, or name any "
        f"zip, folder or csv with {spell('source')}",
    )


def _find_candidates(root: Path) -> list[Source]:
    """Returns the zips and csvs in `root`, and the tree of images, if there is one."""
    files = [path for path in sorted(root.iterdir()) if not zips.is_litter(path.name)]
    found = [_open(path) for path in files if path.suffix.casefold() in FORMATS]
    tree = FolderSource(root, _OUTPUTS)
    try:
        if tree.files:
            tree.layout()
            found.append(tree)
    except UserError:
        if not found:  # of no concern beside another source
            raise
    return found


def _open(path: Path) -> Source:
    """Opens a folder or a file; a file with an unknown ending is taken for a zip."""
    return (
        FolderSource(path)
        if path.is_dir()
        else FORMATS.get(path.suffix.casefold(), _open_zip)(path)
    )


def _open_csv(path: Path) -> Source:
    return CsvSource(path, None)


def _open_zip(path: Path) -> Source:
    """Opens a zip, or FER2013's table in it."""
    with zips.open_zip(path) as (_, members):
        tables = [name for name in members if PurePosixPath(name).name.casefold() in _FER_CSV_NAMES]
    return CsvSource(path, tables[0]) if len(tables) == 1 else ZipSource(path)


# Function that opens a file, by its ending. A new format is a class like those below, in a module
# of its own, and a row here.
FORMATS: dict[str, Callable[[Path], Source]] = {
    ".csv": _open_csv,
    ".tsv": _open_csv,
    ".zip": _open_zip,
}


class ZipSource:
    """Images in a zip."""

    def __init__(self, path: Path):
        self.path = path

    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes the sha256 of the zip."""
        return file_digest(self.path)

    def layout(self, classes: Collection[str] = ()) -> Layout:
        """Detects the layout from the names in the zip; equal size and CRC-32 mean a copy.

        A zip records each name twice, and zipfile compares the two when a file is opened. So every
        file is opened: a damaged name must not silently leave out an image.
        """
        with zips.open_zip(self.path) as (archive, members):
            for member in members.values():
                archive.open(member).close()
            marks = {name: (member.file_size, member.CRC) for name, member in members.items()}
        table = self.table(classes)
        found = image_table.read_layout(marks, table) if table else None
        return found or layouts.detect(str(self.path), marks, classes)

    def table(self, classes: Collection[str] = ()) -> ImageTable | None:
        """Reads the table of labels or votes in the zip; None if it has none."""
        with zips.open_zip(self.path) as (archive, members):
            return image_table.find(
                str(self.path),
                members,
                lambda name: archive.open(members[name]),
                classes,
            )

    def read_files(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of each image, in the order of the zip."""
        requested = set(paths)
        with zips.open_zip(self.path) as (archive, members):
            for name, member in members.items():
                if name in requested:
                    yield name, zips.read_member(self.path, archive, member)

    def total_bytes(self, paths: Collection[str]) -> int:
        """Returns the total size according to the zip."""
        with zips.open_zip(self.path) as (_, members):
            return sum(members[name].file_size for name in paths)


class FolderSource:
    """Images in folders.

    Args:
        path: The outermost folder.
        outputs: Names of folders in it to skip because runs wrote them. If given, files directly in
            `path` are skipped too: those of a dataset's folder are written by runs as well.
    """

    def __init__(self, path: Path, outputs: Collection[str] = ()):
        self.path = path
        self._outputs = outputs

    @functools.cached_property
    def files(self) -> dict[str, Path]:
        """Path of every visible file by its path below the folder, sorted.

        Raises:
            UserError: If something is neither file nor folder, a broken link for example.
        """
        found, special = {}, []

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
                    special.append(inner)
                elif len(above) < _MAX_DEPTH and not (path / RECORD).exists():
                    resolved = path.resolve()
                    if resolved not in above:  # otherwise it is a link to a folder that contains it
                        walk(path, (*above, resolved), f"{inner}/")

        walk(self.path, (), "")
        if special:
            raise UserError(
                expected=f"files and folders in {self.path}",
                found=f"{len(special):,} that are neither (broken links, devices): "
                f"{format_examples(sorted(special))}",
                fix="remove them, or mend the links",
            )
        return dict(sorted(found.items()))

    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes one sha256 of the names and contents of all images, and of the table."""
        total = hashlib.sha256()
        names = list(self.layout(classes).destinations)
        if table := self.table(classes):
            names.append(table.name)
        for name in sorted(names):
            line = f"{file_digest(self.files[name])} {name}\n"
            total.update(line.encode(errors="surrogateescape"))
        return total.hexdigest()

    def layout(self, classes: Collection[str] = ()) -> Layout:
        """Detects the layout from the names of the folders; equal sizes mean a copy."""
        table = self.table(classes)
        if table and (found := image_table.read_layout(self.files, table)):
            return found
        flat_folder.refuse(self.path, self.files)
        marks = {name: path.stat().st_size for name, path in self.files.items()}
        return layouts.detect(str(self.path), marks, classes)

    def table(self, classes: Collection[str] = ()) -> ImageTable | None:
        """Reads the table of labels or votes in the folder; None if it has none."""
        return image_table.find(
            str(self.path), self.files, lambda name: self.files[name].open("rb"), classes
        )

    def read_files(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of each image, in order of path."""
        for name in sorted(paths):
            yield name, self.files[name].read_bytes()

    def total_bytes(self, paths: Collection[str]) -> int:
        """Returns the sum of the files' sizes."""
        return sum(self.files[name].stat().st_size for name in paths)
