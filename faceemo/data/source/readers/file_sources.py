"""The sources whose images are files of their own: a zip and a folder."""

import abc
import contextlib
import functools
import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from faceemo.assets.downloads import file_digest
from faceemo.data.source import flat_folder, image_table, zips
from faceemo.data.source import layout as layouts
from faceemo.data.source.image_table import ImageTable
from faceemo.data.source.layout import Layout, format_examples
from faceemo.data.source.sets import crops, known_sets, people
from faceemo.data.source.sets.tree import Tree
from faceemo.errors import UserError

RECORD = "preparation.json"  # in a dataset's folder, see `faceemo.data.prepare.prepare`
_MAX_DEPTH = 8  # of nested folders


class FileSource(abc.ABC):
    """Images that are files, or parts of files, in a zip or a folder.

    Args:
        path: The zip or folder.

    Attributes:
        problems: Reasons why `read_files` has passed over images, by path.
    """

    def __init__(self, path: Path):
        self.path = path
        self.problems: dict[str, str] = {}

    @abc.abstractmethod
    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes a sha256 that changes with the images."""

    @abc.abstractmethod
    def _open_tree(self) -> contextlib.AbstractContextManager[Tree]:
        """Opens all files."""

    @abc.abstractmethod
    def _read_contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of some files, in the source's order."""

    @abc.abstractmethod
    def _mark_contents(self) -> Mapping[str, object]:
        """Returns values that are equal for equal files, by path."""

    @abc.abstractmethod
    def _sum_sizes(self, names: Collection[str]) -> int:
        """Returns the total size of some files in bytes."""

    def layout(self, classes: Collection[str] = ()) -> Layout:
        """Detects the layout: that of a known set, of a table, or of the names of the folders."""
        if self._known_set:
            return self._known_set
        marks = self._mark_contents()
        table = self.table(classes)
        found = image_table.read_layout(marks, table) if table else None
        return people.add_people(found or self._detect(marks, classes))

    def _detect(self, marks: Mapping[str, object], classes: Collection[str]) -> Layout:
        return layouts.detect(str(self.path), marks, classes)

    @functools.cached_property
    def _known_set(self) -> Layout | None:
        with self._open_tree() as tree:
            return known_sets.read_layout(tree)

    def table(self, classes: Collection[str] = ()) -> ImageTable | None:
        """Reads the table of labels or votes among the files; None if there is none."""
        if self._known_set:
            return None
        with self._open_tree() as tree:
            return image_table.find(tree.source, tree.paths, tree.open_file, classes)

    def read_files(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of each image, in the source's order of files."""
        cut = self._known_set.crops if self._known_set else {}
        yield from crops.read(paths, cut, self._read_contents, self.problems)

    def total_bytes(self, paths: Collection[str]) -> int:
        """Returns the sum of the files' sizes, and an upper bound for parts of files."""
        cut = self._known_set.crops if self._known_set else {}
        files = [path for path in paths if path not in cut]
        return self._sum_sizes(files) + sum(
            crops.bound_bytes(cut[path]) for path in paths if path in cut
        )


class ZipSource(FileSource):
    """Images in a zip."""

    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes the sha256 of the zip."""
        return file_digest(self.path)

    @contextlib.contextmanager
    def _open_tree(self) -> Iterator[Tree]:
        with zips.open_zip(self.path) as (archive, members):
            yield Tree(str(self.path), members, lambda name: archive.open(members[name]))

    def _mark_contents(self) -> Mapping[str, object]:
        """Returns size and CRC-32 of every file.

        A zip records each name twice, and zipfile compares the two when a file is opened. So every
        file is opened: a damaged name must not silently leave out an image.
        """
        with zips.open_zip(self.path) as (archive, members):
            for member in members.values():
                archive.open(member).close()
            return {name: (member.file_size, member.CRC) for name, member in members.items()}

    def _read_contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        requested = set(names)
        with zips.open_zip(self.path) as (archive, members):
            for name, member in members.items():
                if name in requested:
                    yield name, zips.read_member(self.path, archive, member)

    def _sum_sizes(self, names: Collection[str]) -> int:
        with zips.open_zip(self.path) as (_, members):
            return sum(members[name].file_size for name in names)


class FolderSource(FileSource):
    """Images in folders.

    Args:
        path: The outermost folder.
        outputs: Names of folders in it to skip because runs wrote them. If given, files directly in
            `path` are skipped too: those of a dataset's folder are written by runs as well.
    """

    def __init__(self, path: Path, outputs: Collection[str] = ()):
        super().__init__(path)
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
        """Computes one sha256 of the names and contents of all images, and of their labels.

        Labels are those of a table, or of the files of a known set; others are part of the names.
        """
        total = hashlib.sha256()
        found = self.layout(classes)
        names = {crops.file_of(path, found.crops) for path in found.destinations}
        if table := self.table(classes):
            names.add(table.name)
        lines = [f"{file_digest(self.files[name])} {name}\n" for name in sorted(names)]
        if self._known_set:
            lines += [
                f"{image.path} {found.crops.get(path, ('',))[1:]} {path}\n"
                for path, image in sorted(found.destinations.items())
            ]
        for line in lines:
            total.update(line.encode(errors="surrogateescape"))
        return total.hexdigest()

    @contextlib.contextmanager
    def _open_tree(self) -> Iterator[Tree]:
        yield Tree(str(self.path), self.files, lambda name: self.files[name].open("rb"))

    def _mark_contents(self) -> Mapping[str, object]:
        return {name: path.stat().st_size for name, path in self.files.items()}

    def _detect(self, marks: Mapping[str, object], classes: Collection[str]) -> Layout:
        flat_folder.refuse(self.path, self.files)
        return super()._detect(marks, classes)

    def _read_contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        for name in sorted(names):
            yield name, self.files[name].read_bytes()

    def _sum_sizes(self, names: Collection[str]) -> int:
        return sum(self.files[name].stat().st_size for name in names)
