"""The source that is FER2013's table, plain or in a zip."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TextIO

from faceemo.assets.downloads import file_digest
from faceemo.data.source import fer_csv, zips
from faceemo.data.source.layout import Layout
from faceemo.data.source.table_text import open_text


class CsvSource:
    """FER2013's table, plain or in a zip.

    Args:
        path: The csv or the zip.
        member: Name of the csv in the zip; None if `path` is the csv.
    """

    def __init__(self, path: Path, member: str | None):
        self.path = path
        self.problems: dict[str, str] = {}  # none that only reading finds
        self._member = member

    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes the sha256 of the csv or the zip."""
        return file_digest(self.path)

    def layout(self, classes: Collection[str] = ()) -> Layout:
        """Reads the layout from the rows."""
        with self._open_table() as stream:
            return fer_csv.read_layout(str(self.path), stream)

    def table(self, classes: Collection[str] = ()) -> None:
        """Returns None: FER2013's table has no votes."""

    def read_files(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yields name and PNG of each image, in order of row."""
        requested = set(paths)
        with self._open_table() as stream:
            for image in fer_csv.read_rows(str(self.path), stream):
                if image.name in requested:
                    yield image.name, fer_csv.encode_png(image.pixels)

    def total_bytes(self, paths: Collection[str]) -> int:
        """Estimates a byte per pixel and 100 per PNG; a pixel takes two characters or more."""
        return len(paths) * 100 + self._table_bytes() // 2

    def _table_bytes(self) -> int:
        if self._member is None:
            return self.path.stat().st_size
        with zips.open_zip(self.path) as (_, members):
            return members[self._member].file_size

    @contextlib.contextmanager
    def _open_table(self) -> Iterator[TextIO]:
        if self._member is None:
            with open_text(self.path.open("rb")) as stream:
                yield stream
            return
        with (
            zips.open_zip(self.path) as (archive, members),
            open_text(archive.open(members[self._member])) as stream,
        ):
            yield stream
