"""The file in a dataset's folder that says where in the source each original comes from.

The originals have paths of one form, `validation/happy/7.jpg`. People know their images by the
paths in the zip, folder or csv that they gave.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from faceemo import staging
from faceemo.data.source.readers import joined_source
from faceemo.data.source.sources import FOLDER
from faceemo.errors import escape_name

NAME = "source_paths.json"


class SourcePaths(NamedTuple):
    """Where the originals come from.

    Attributes:
        source: Path of the zip, folder or csv: as it was given, or below the dataset's folder.
        paths: Path in the source by the path below the originals' folder.
    """

    source: str
    paths: Mapping[str, str]


def write(root: Path, source: Path, paths: Mapping[str, str]) -> None:
    """Writes root/source_paths.json (see `SourcePaths`)."""
    within = source.is_relative_to(root) and len(joined_source.divide(source)) == 1
    shown = source.relative_to(root) if within else source
    with staging.file(root / NAME) as partial:
        partial.write_text(
            json.dumps({"source": str(shown), "paths": paths}, sort_keys=True), encoding="ascii"
        )


def read(root: Path) -> SourcePaths | None:
    """Reads root/source_paths.json; None if an older version of faceemo prepared the images."""
    path = root / NAME
    return SourcePaths(**json.loads(path.read_text(encoding="ascii"))) if path.is_file() else None


def name_in_source(root: Path, paths: Iterable[str]) -> tuple[tuple[str, ...], str]:
    """Names originals by their paths in the user's source.

    Args:
        root: The dataset's folder.
        paths: Paths below the originals' folder, escaped or not (`errors.escape_name`).

    Returns:
        The names, and the source. Without a record, these are `paths` and the originals' folder.
    """
    found = read(root)
    if found is None:
        return tuple(paths), str(root / FOLDER)
    known = {escape_name(path): name for path, name in found.paths.items()}
    return tuple(known.get(escape_name(path), path) for path in paths), found.source
