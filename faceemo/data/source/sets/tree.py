"""The files of a source, as the readers of known sets see them."""

import collections
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import IO

from faceemo.data.source.layout import (
    Crop,
    Destination,
    Layout,
    LeftOut,
    format_examples,
    parse_split,
)
from faceemo.data.source.table_text import open_text
from faceemo.errors import UserError

_MAX_REASONS = 4  # in a note


@dataclasses.dataclass(frozen=True)
class Tree:
    """The files of a zip or folder.

    Attributes:
        source: Name of the source, for messages.
        paths: Paths of all files in it, with '/'.
        open_file: Opens a file by its path.
    """

    source: str
    paths: Collection[str]
    open_file: Callable[[str], IO[bytes]]

    def read_lines(self, path: str) -> Iterator[tuple[int, str]]:
        """Yields the number, from 1, and the text of every line that is not blank.

        Raises:
            UserError: If the file is not text in UTF-8 or UTF-16.
        """
        with open_text(self.open_file(path)) as stream:
            try:
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield number, line.strip()
            except UnicodeError as error:
                raise UserError(
                    expected=f"text in UTF-8 or UTF-16 in {path} of {self.source}",
                    found=str(error),
                    fix="save it in UTF-8, or download it again",
                ) from error

    def read_bytes(self, path: str) -> bytes:
        """Reads a file."""
        with self.open_file(path) as stream:
            return stream.read()


class SetLayout:
    """A layout in the making, from the lists of a known set.

    Args:
        tree: The files.
        name: Name of the set, for messages.
    """

    def __init__(self, tree: Tree, name: str):
        self._tree, self._name = tree, name
        self.destinations: dict[str, Destination] = {}
        self.crops: dict[str, Crop] = {}
        self.left_out: dict[str, LeftOut] = {}
        self.groups: dict[str, str] = {}
        self.notes: list[str] = []

    def leave_out(self, path: str, reason: str, label: str = "") -> None:
        """Leaves out an image, whose path need not exist."""
        self.left_out[path] = LeftOut(label, reason)

    def finish(self, form: str) -> Layout:
        """Returns the layout.

        Args:
            form: The form that was recognised, in words.

        Raises:
            UserError: If no image has a place in it.
        """
        if not self.destinations:
            raise UserError(
                expected=f"images of {self._name} with labels in {self._tree.source}",
                found=count_reasons(self.left_out) or "none",
                fix="name the folder or zip that holds both the images and the lists of labels",
            )
        return Layout(
            form,
            self.destinations,
            tuple(self.notes),
            crops=self.crops,
            left_out=self.left_out,
            groups=self.groups,
        )


def count_reasons(left_out: Mapping[str, LeftOut]) -> str:
    """Counts images by the reason for which they are left out, in words; '' if there are none."""
    counts = collections.Counter(image.reason for image in left_out.values())
    words = [
        f"{count:,} image{'s' if count > 1 else ''}: {reason}"
        for reason, count in counts.most_common(_MAX_REASONS)
    ]
    if more := len(counts) - _MAX_REASONS:
        words += [f"{more:,} more reasons"] if more > 0 else []
    return "; ".join(words)


def take_one(tree: Tree, lists: Collection[str], what: str) -> str:
    """Returns the only path of `lists`.

    Raises:
        UserError: If there are several.
    """
    if len(lists) > 1:
        raise UserError(
            expected=f"one {what} in {tree.source}",
            found=f"{len(lists)}: {format_examples(sorted(lists))}",
            fix="name the folder of one set as the source",
        )
    (only,) = lists
    return only


def name_of(path: str) -> str:
    """Returns the last part of a path."""
    return path.rpartition("/")[2]


def find_split(path: str) -> str | None:
    """Returns the split that the innermost folder with the name of one means; None if none."""
    for part in reversed(PurePosixPath(path).parts[:-1]):
        if split := parse_split(part):
            return split
    return None


def index_by_tail(paths: Iterable[str], depth: int) -> dict[str, list[str]]:
    """Indexes paths by their last `depth` parts, in lower case."""
    found = collections.defaultdict(list)
    for path in paths:
        found["/".join(path.split("/")[-depth:]).casefold()].append(path)
    return found
