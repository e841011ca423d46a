"""The source that is a Hugging Face dataset: Parquet files of images and labels, or a hub's name.

pyarrow, the extra 'parquet', and `datasets` are imported when such a source is read.
"""

import abc
import functools
import hashlib
import io
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from faceemo.assets.downloads import file_digest
from faceemo.data.source.layout import Destination, Layout, fit_name, parse_split
from faceemo.data.source.readers.joined_source import HUB
from faceemo.data.source.sets.tree import SetLayout, Tree, name_of
from faceemo.errors import UserError, missing_packages

SUFFIX = ".parquet"
_IMAGES = ("image", "img", "picture", "pixels")  # usual names of the columns
_LABELS = ("label", "labels", "emotion", "expression", "class")
_BATCH = 256  # rows
# Places of the files below a dataset's folder.
_PLACES = (f"*{SUFFIX}", f"data/*{SUFFIX}", f"*/*{SUFFIX}", f"default/*/*{SUFFIX}")


def find_files(folder: Path) -> list[Path]:
    """Returns the Parquet files in a folder, sorted, at the places where datasets have them."""
    for place in _PLACES:
        if found := sorted(folder.glob(place)):
            return found
    return []


class RowSource(abc.ABC):
    """Images that are rows of tables.

    Args:
        path: The file, the folder, or the name on the hub.

    Attributes:
        problems: Reasons why `read_files` has passed over images, by path.
    """

    def __init__(self, path: Path):
        self.path = path
        self.problems: dict[str, str] = {}

    @abc.abstractmethod
    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes a sha256 that changes with the rows."""

    @abc.abstractmethod
    def _list_parts(self) -> list[tuple[str, str]]:
        """Returns the name and the split of every table."""

    @abc.abstractmethod
    def _read_schema(self, part: str) -> Any:
        """Returns the pyarrow schema of a table."""

    @abc.abstractmethod
    def _read_batches(self, part: str, columns: list[str]) -> Iterator[Any]:
        """Yields some columns of a table as pyarrow tables or batches of rows."""

    def layout(self, classes: Collection[str] = ()) -> Layout:
        """Reads the splits from the names of the tables, and the labels from their rows."""
        return self._layout

    @functools.cached_property
    def _layout(self) -> Layout:
        made = SetLayout(Tree(str(self.path), (), lambda path: io.BytesIO()), "the dataset")
        for part, split in self._list_parts():
            schema = self._read_schema(part)
            image, label, names = _find_columns(part, schema)
            suffix = self._sniff_suffix(part, image)
            stem = name_of(part).removesuffix(SUFFIX)
            row = 0
            for batch in self._read_batches(part, [label]):
                for value in batch.column(label).to_pylist():
                    path = f"{part}#{row}"
                    text = _name_label(value, names)
                    if text is None:
                        made.leave_out(path, "no label in its row")
                    else:
                        name = fit_name(f"{stem}-{row}{suffix}")
                        made.destinations[path] = Destination(split, text, name)
                    row += 1
        return made.finish("Parquet of a Hugging Face dataset")

    def _sniff_suffix(self, part: str, column: str) -> str:
        """Returns the ending for the names of a table's images, from the first of them."""
        for batch in self._read_batches(part, [column]):
            for value in batch.column(column).slice(0, 1).to_pylist():
                try:
                    with Image.open(io.BytesIO(self._read_content(value) or b"")) as image:
                        return f".{str(image.format).lower()}"
                except OSError:  # the preparation reports such images
                    return ""
        return ""

    def _read_content(self, value: Any) -> bytes | None:
        """Returns the file in a row's value: the bytes, or {'bytes': ..., 'path': ...}.

        If there is only a path, the file is read if the source may hold it, see `_locate`.
        """
        if not isinstance(value, dict):
            return value
        if value.get("bytes") is not None or not value.get("path"):
            return value.get("bytes")
        path = self._locate(value["path"])
        return path.read_bytes() if path and path.is_file() else None

    @abc.abstractmethod
    def _locate(self, path: str) -> Path | None:
        """Returns the place of a file that a row names; None if it is none of the source's."""

    def table(self, classes: Collection[str] = ()) -> None:
        """Returns None: the labels are columns."""
        return None

    def read_files(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of each image, in the order of the rows."""
        requested = set(paths)
        for part in dict.fromkeys(path.rpartition("#")[0] for path in sorted(requested)):
            image, _, _ = _find_columns(part, self._read_schema(part))
            row = 0
            for batch in self._read_batches(part, [image]):
                for value in batch.column(image).to_pylist():
                    path = f"{part}#{row}"
                    row += 1
                    if path not in requested:
                        continue
                    if (content := self._read_content(value)) is None:
                        self.problems[path] = "its row has no bytes of an image"
                    else:
                        yield path, content


class ParquetSource(RowSource):
    """A Parquet file, or a folder of them as `datasets` writes it."""

    @functools.cached_property
    def files(self) -> dict[str, Path]:
        """Path of every Parquet file, by its path below the folder."""
        if self.path.is_file():
            return {self.path.name: self.path}
        return {path.relative_to(self.path).as_posix(): path for path in find_files(self.path)}

    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes one sha256 of the names and contents of all files."""
        lines = "".join(f"{file_digest(path)} {name}\n" for name, path in self.files.items())
        return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()

    def total_bytes(self, paths: Collection[str]) -> int:
        """Returns the sum of the files' sizes; images hardly get smaller in Parquet."""
        return sum(path.stat().st_size for path in self.files.values())

    def _list_parts(self) -> list[tuple[str, str]]:
        return [(name, _parse_split(name)) for name in self.files]

    def _read_schema(self, part: str) -> Any:
        with self._open(part) as file:
            return file.schema_arrow

    def _read_batches(self, part: str, columns: list[str]) -> Iterator[Any]:
        with self._open(part) as file:
            yield from file.iter_batches(_BATCH, columns=columns)

    def _locate(self, path: str) -> Path | None:
        """Returns the place of a file below the folder: a table may name any file there is."""
        folder = self.path.resolve()
        place = (folder / path).resolve()
        return place if place.is_relative_to(folder) else None

    def _open(self, part: str) -> Any:
        with missing_packages("parquet"):
            from pyarrow import ArrowInvalid, parquet
        try:
            return parquet.ParquetFile(self.files[part])
        except ArrowInvalid as error:
            raise UserError(
                expected=f"a whole Parquet file at {self.files[part]}",
                found=str(error).splitlines()[0],
                fix="download it again",
            ) from error


class HubSource(RowSource):
    """A dataset of Hugging Face's hub, which `datasets` downloads into its cache.

    Args:
        path: Its name after 'hf:', as 'hf:owner/name'.
    """

    @functools.cached_property
    def _splits(self) -> Mapping[str, Any]:
        try:
            import datasets  # pyright: ignore
        except ImportError as error:
            raise UserError(
                expected=f"the package datasets, to read {self.path}",
                found=str(error),
                fix="pip install datasets, or download the dataset's Parquet files and name their "
                "folder",
            ) from error
        name = str(self.path).removeprefix(HUB)
        try:
            return datasets.load_dataset(name)  # pyright: ignore
        except Exception as error:  # of the network, the hub, or the dataset's files
            raise UserError(
                expected=f"the dataset '{name}' of Hugging Face's hub",
                found=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}",
                fix="check the name and the connection, or download its Parquet files and name "
                "their folder",
            ) from error

    def _locate(self, path: str) -> Path | None:
        """Returns the place into which `datasets` has downloaded or unpacked the file."""
        return Path(path)

    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes one sha256 of the files in the cache of `datasets`."""
        total = hashlib.sha256()
        for split, rows in self._splits.items():
            for file in rows.cache_files:
                total.update(f"{split} {file_digest(Path(file['filename']))}\n".encode())
        return total.hexdigest()

    def total_bytes(self, paths: Collection[str]) -> int:
        """Returns the size of the tables according to `datasets`."""
        return sum(rows.data.nbytes for rows in self._splits.values())

    def _list_parts(self) -> list[tuple[str, str]]:
        return [(split, parse_split(split) or "train") for split in self._splits]

    def _read_schema(self, part: str) -> Any:
        return self._splits[part].features.arrow_schema

    def _read_batches(self, part: str, columns: list[str]) -> Iterator[Any]:
        rows = self._splits[part].select_columns(columns).with_format("arrow")
        yield from rows.iter(_BATCH)


def _parse_split(name: str) -> str:
    """Returns the split that a file's name begins with, or that its folder means."""
    path = PurePosixPath(name)
    words = (re.split(r"[^A-Za-z]", path.stem)[0], path.parent.name)
    return next(filter(None, map(parse_split, words)), "train")


def _find_columns(part: str, schema: Any) -> tuple[str, str, list[str] | None]:
    """Returns the columns of images and labels, and the names of the labels' numbers if known.

    Raises:
        UserError: If there is not exactly one of each.
    """
    try:
        stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = stored.get("info", {}).get("features") or {}
    except (ValueError, AttributeError):
        features = {}
    kinds = {name: about.get("_type") for name, about in features.items() if "_type" in about}
    images = [name for name in schema.names if kinds.get(name) == "Image"] or [
        field.name for field in schema if _holds_images(field)
    ]
    labels = [name for name in schema.names if kinds.get(name) == "ClassLabel"]
    if len(labels) != 1:
        usual = [name for name in schema.names if name.casefold() in _LABELS]
        labels = [name for name in labels if name in usual] or usual
    for found, what, usual_names in ((images, "images", _IMAGES), (labels, "labels", _LABELS)):
        if len(found) != 1:
            raise UserError(
                expected=f"one column of {what} in {part}, such as {' or '.join(usual_names[:2])}",
                found=f"{', '.join(found) or 'none'} among the columns {', '.join(schema.names)}",
                fix="name or leave out columns so that it is clear which one is meant",
            )
    return images[0], labels[0], features.get(labels[0], {}).get("names")


def _holds_images(field: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(field.type):
        return field.type.get_field_index("bytes") >= 0
    binary = pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
    return binary and field.name.casefold() in _IMAGES


def _name_label(value: Any, names: list[str] | None) -> str | None:
    """Returns the name of a row's label; None if it has none (-1 by the custom of datasets)."""
    if isinstance(value, int) and names is not None:
        return names[value] if 0 <= value < len(names) else None
    if value is None or value == -1 or not str(value).strip():
        return None
    return str(value)
