"""Sources of images: the user's zip, folder or csv, found and read, never changed."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from faceemo.config.field_words import spell
from faceemo.data.source import zips
from faceemo.data.source.layout import format_examples
from faceemo.data.source.readers import joined_source, parquet_source
from faceemo.data.source.readers.csv_source import CsvSource
from faceemo.data.source.readers.file_sources import FolderSource, ZipSource
from faceemo.data.source.readers.joined_source import JoinedSource
from faceemo.data.source.readers.parquet_source import HubSource, ParquetSource
from faceemo.data.source.readers.protocol import Source
from faceemo.errors import UserError

FOLDER = "Facial_emotion_images"
ZIP = f"{FOLDER}.zip"

# Folders that runs write in a dataset's folder.
_OUTPUTS = (FOLDER, "face_detection", "unique_images", "pictures", "tfds", "sample")
_FER_CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")


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
        opened = [_open_named(root, part) for part in joined_source.divide(named)]
        return opened[0] if len(opened) == 1 else JoinedSource(opened)
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


def _open_named(root: Path, named: Path) -> Source:
    """Opens the source, or one of several, that the user named."""
    if str(named).startswith(joined_source.HUB):
        return HubSource(named)
    if not named.exists():
        raise UserError(
            expected="a zip, a folder or a csv as the source",
            found=f"nothing at {named}",
            fix=f"correct {spell('source')}",
        )
    return FolderSource(root, _OUTPUTS) if named.resolve() == root.resolve() else _open(named)


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
    if path.is_dir():
        return ParquetSource(path) if parquet_source.find_files(path) else FolderSource(path)
    return FORMATS.get(path.suffix.casefold(), _open_zip)(path)


def _open_csv(path: Path) -> Source:
    return CsvSource(path, None)


def _open_zip(path: Path) -> Source:
    """Opens a zip, or FER2013's table in it."""
    with zips.open_zip(path) as (_, members):
        tables = [name for name in members if PurePosixPath(name).name.casefold() in _FER_CSV_NAMES]
    return CsvSource(path, tables[0]) if len(tables) == 1 else ZipSource(path)


# Function that opens a file, by its ending. A new format is a class in a module of its own, and a
# row here.
FORMATS: dict[str, Callable[[Path], Source]] = {
    ".csv": _open_csv,
    ".tsv": _open_csv,
    ".zip": _open_zip,
    parquet_source.SUFFIX: ParquetSource,
}
