"""Tables about images: a row for each with its label, its split, or the votes of annotators.

A column `row` or `path` (or `file`, `name`, ...) says which image a row is about. FER+'s
fer2013new.csv has the order of fer2013.csv: its rows are numbered from 0. Columns named after
emotions or classes, 'unknown' and 'NF' hold numbers of votes; `label` (or `emotion`, `class`,
`fer2013`) is the label, `Usage` or `split` the split. Other columns are ignored.
"""

import collections
import dataclasses
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, TextIO

from faceemo.config.classes import name_key
from faceemo.config.emotions import EMOTIONS
from faceemo.config.field_words import spell
from faceemo.data.source import table_text
from faceemo.data.source.layout import (
    Destination,
    Layout,
    fit_name,
    format_examples,
    is_image,
    parse_split,
)
from faceemo.data.source.table_text import open_text, read_fields
from faceemo.data.votes.counting import NO_EMOTION
from faceemo.errors import UserError, escape_name

SUFFIXES = (".csv", ".tsv")
NO_LABEL = "<no label>"  # of an image without a row; no class can have this name

_ROW = ("row",)
_PATHS = ("path", "file", "filename", "file_name", "image", "image name", "image_name", "name")
_LABELS = ("label", "emotion", "class", "fer2013")
_SPLITS = ("usage", "split")
_FERPLUS = {"usage", "image name", "neutral"}  # columns by which FER+'s own table is recognised
# Names of files made from a row of FER2013: 00012.png, fer0000012.png.
_NUMBERED = re.compile(r"(?:fer)?0*([0-9]+)", re.IGNORECASE)


class Entry(NamedTuple):
    """A row of the table."""

    label: str  # '' if there is no such column
    split: str  # as the table names it; '' if there is no such column
    votes: dict[str, int] | None  # by the names of the columns


@dataclasses.dataclass(frozen=True)
class ImageTable:
    """The rows of a table by what they are about.

    Attributes:
        name: Name of the table, for messages; its path in the source if it lies there.
        votes: Names of the columns of votes.
        by_row: Whether rows are about images whose names are numbers, otherwise about paths.
        rows: The entries by number or path.
    """

    name: str
    votes: tuple[str, ...]
    by_row: bool
    rows: dict[int, Entry] | dict[str, Entry]

    def find(self, path: str) -> Entry | None:
        """Returns the entry of an image by its path in the source; None if it has none."""
        if self.by_row:
            match = _NUMBERED.fullmatch(PurePosixPath(path).stem)
            return self.rows.get(int(match[1])) if match else None  # pyright: ignore
        return self.rows.get(path) or self.rows.get(PurePosixPath(path).name)  # pyright: ignore


def find(
    source: str,
    names: Iterable[str],
    open_file: Callable[[str], IO[bytes]],
    classes: Collection[str] = (),
) -> ImageTable | None:
    """Finds and reads the one table about images among the files of a source.

    Args:
        source: Name of the source, for messages.
        names: Names of all its files.
        open_file: Opens a file by its name.
        classes: As for `read`.

    Returns:
        The table; None if there is none.

    Raises:
        UserError: If there are several, or a row is not valid.
    """
    found = []
    for name in names:
        if PurePosixPath(name).suffix.casefold() in SUFFIXES:
            with open_text(open_file(name)) as stream, table_text.checked(name):
                if _is_about_images(next(read_fields(stream), [])):
                    found.append(name)
    if len(found) > 1:
        raise UserError(
            expected=f"one table of labels or votes in {source}",
            found=f"{len(found)}: {format_examples(found)}",
            fix="remove all but one, or name the folder without them and the one with "
            f"{spell('votes')}",
        )
    if not found:
        return None
    with open_text(open_file(found[0])) as stream:
        return read(found[0], stream, classes)


def _is_about_images(header: Iterable[str]) -> bool:
    """Returns whether the columns name images, and labels or votes for them."""
    columns = {name.strip().casefold() for name in header}
    facts = columns & {*_LABELS} or {name_key(name) for name in columns} & {*EMOTIONS}
    return bool(columns & {*_ROW, *_PATHS} and facts)


def read(name: str, stream: TextIO, classes: Iterable[str] = ()) -> ImageTable:
    """Reads a table.

    Args:
        name: Name of the table, for messages.
        stream: The open csv.
        classes: Names of classes that are no emotions, of which columns hold votes.

    Raises:
        UserError: If it does not say which images it is about, or a row is not valid.
    """
    with table_text.checked(name):
        return _read(name, stream, classes)


def _read(name: str, stream: TextIO, classes: Iterable[str]) -> ImageTable:
    table = read_fields(stream)
    header = [column.strip() for column in next(table, [])]
    position = {column.casefold(): index for index, column in reversed([*enumerate(header)])}
    known = {*EMOTIONS, *NO_EMOTION, *map(name_key, classes)}
    label, split = _find(position, _LABELS), _find(position, _SPLITS)
    votes = {
        column: index
        for index, column in enumerate(header)
        if name_key(column) in known and index not in (label, split)
    }
    by_position = position.keys() >= _FERPLUS
    row, path = _find(position, _ROW), _find(position, _PATHS)
    if (row is None and path is None) or (label is None and not votes):
        raise UserError(
            expected=f"a column row or path in {name}, and one with the votes for each emotion",
            found=", ".join(header)[:200] or "an empty file",
            fix="use FER+'s fer2013new.csv, or name the columns so",
        )
    by_row = by_position or row is not None
    rows: dict = {}
    for number, fields in enumerate(table):
        if len(fields) != len(header):
            raise _bad_row(name, number, f"{len(fields)} fields", f"{len(header)} fields")
        if by_position:
            key: int | str = number
        elif row is not None:
            key = _count(name, number, "row", fields[row])
        else:
            key = fields[path or 0].strip().replace("\\", "/").removeprefix("./")
        if key in rows:
            raise _bad_row(name, number, f"'{key}' for the second time", "each image once")
        rows[key] = Entry(
            fields[label].strip() if label is not None else "",
            fields[split].strip() if split is not None else "",
            {column: _count(name, number, column, fields[index]) for column, index in votes.items()}
            if votes
            else None,
        )
    return ImageTable(name, tuple(votes), by_row, rows)


def read_file(path: Path, classes: Collection[str] = ()) -> ImageTable:
    """Reads a table of votes that the user named.

    Args:
        path: The csv.
        classes: Names of classes, of which columns may hold votes.

    Raises:
        UserError: If there is no such file, or it is no table of votes.
    """
    if not path.is_file():
        raise UserError(
            expected="a table of votes, such as FER+'s fer2013new.csv",
            found=f"no file at {path}",
            fix=f"correct {spell('votes')}",
        )
    with open_text(path.open("rb")) as stream:
        table = read(path.name, stream, classes)
    if not table.votes:
        raise UserError(
            expected=f"columns with the numbers of votes in {path}: neutral, happiness, ...",
            found="none",
            fix=f"correct {spell('votes')}, or name the columns after emotions or classes",
        )
    return table


def read_layout(files: Iterable[str], table: ImageTable) -> Layout | None:
    """Reads the destinations of images whose folders do not say their class, from a table.

    Args:
        files: Paths in the source.
        table: The table.

    Returns:
        The layout; None if the images are in folders of classes, or none of them is in the table.

    Raises:
        UserError: If the split of a row is unknown.
    """
    images = [path for path in files if is_image(path)]
    parents = {PurePosixPath(path).parent.name for path in images}
    entries = {path: entry for path in images if (entry := table.find(path))}
    if not entries or (len(parents) > 1 and not all(map(parse_split, parents))):
        return None
    destinations, names = {}, collections.defaultdict(set)
    for path in images:
        entry = entries.get(path)
        named = entry.split if entry and entry.split else PurePosixPath(path).parent.name
        split = parse_split(named)
        if split is None and entry and entry.split:
            raise UserError(
                expected=f"training, validation or test as the split of {path} in {table.name}",
                found=f"'{escape_name(named)}'",
                fix="correct that row",
            )
        if split:
            names[split].add(named)
        label = (entry.label or _leading(entry)) if entry else ""
        destinations[path] = Destination(
            split or "train", label or NO_LABEL, fit_name(PurePosixPath(path).name)
        )
    notes = [f"{name} is {split}" for split, found in sorted(names.items()) for name in found]
    if missing := len(images) - len(entries):
        notes.append(f"{missing:,} images have no row in {table.name}")
    return Layout(f"images with the labels in {table.name}", destinations, tuple(notes))


def _leading(entry: Entry) -> str:
    """Returns the name with the most votes, the first of equals."""
    return max(entry.votes, key=lambda name: (entry.votes or {})[name]) if entry.votes else ""


def _find(position: dict[str, int], names: Iterable[str]) -> int | None:
    return next((position[name] for name in names if name in position), None)


def _count(table: str, number: int, column: str, text: str) -> int:
    match = re.fullmatch(r"\s*([0-9]{1,9})(\.0*)?\s*", text)
    if not match:
        raise _bad_row(table, number, f"'{text.strip()[:40]}'", f"a whole number in {column}")
    return int(match[1])


def _bad_row(table: str, number: int, found: str, expected: str) -> UserError:
    return UserError(
        expected=f"{expected} in every row of {table}",
        found=f"{found} in row {number}",
        fix=f"correct that row, or name another table with {spell('votes')}",
    )
