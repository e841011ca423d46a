"""The interface of a source of images."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from faceemo.data.source.image_table import ImageTable
from faceemo.data.source.layout import Layout


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
        """Yields path and content of some of the layout's images, in the source's order.

        Images with a problem that only reading finds are passed over, see `problems`.
        """
        ...

    @property
    def problems(self) -> Mapping[str, str]:
        """Reasons why `read_files` has passed over images, by path."""
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
