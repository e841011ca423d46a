"""The originals that the source's own boxes cut out of photographs, in a dataset's folder."""

import json
from collections.abc import Collection
from pathlib import Path

from faceemo import staging

NAME = "cut_out.json"


def write(root: Path, paths: Collection[str]) -> None:
    """Writes root/cut_out.json, or removes it if there are no such images."""
    if not paths:
        (root / NAME).unlink(missing_ok=True)
        return
    with staging.file(root / NAME) as partial:
        partial.write_text(json.dumps(sorted(paths)), encoding="ascii")


def read(root: Path) -> frozenset[str]:
    """Reads the paths of these images below the originals' folder; none if there is no file."""
    path = root / NAME
    return (
        frozenset(json.loads(path.read_text(encoding="ascii"))) if path.is_file() else frozenset()
    )
