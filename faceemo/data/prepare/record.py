"""The record of a preparation: which stages are finished, from what inputs."""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.config import SCREENS
from faceemo.data.ledger.rules import Rules
from faceemo.data.prepare import folders
from faceemo.data.source import archive
from faceemo.data.source.readers import file_sources
from faceemo.data.source.selection import STANDARD, Selection
from faceemo.data.votes.counting import LABEL
from faceemo.errors import UserError

RECORD = file_sources.RECORD
PICTURES = "pictures"
FOLDERS = {"unpack": archive.FOLDER, "screen": folders.SCREENED, "dedupe": folders.UNIQUE}
STAGES = tuple(FOLDERS)


class Record:
    """The file root/preparation.json: the finished stages with their inputs and counts.

    Args:
        root: The dataset's folder.
        pictures: Names of the files in root/pictures that a stage draws, by the stage.

    Raises:
        UserError: If the file is damaged.
    """

    def __init__(self, root: Path, pictures: Mapping[str, Collection[str]] | None = None):
        self._root, self._pictures = root, pictures or {}
        self._path = root / RECORD
        self._stages: dict[str, dict[str, Any]] = {}
        if self._path.is_file():
            try:
                self._stages = dict(json.loads(self._path.read_text(encoding="utf-8")))
            except ValueError as error:
                raise UserError(
                    expected=f"JSON in {self._path}",
                    found=str(error),
                    fix="delete this file: the preparation starts over, the originals stay",
                ) from error

    def is_finished(self, stage: str) -> bool:
        """Returns whether `stage` was finished and its output has not changed since."""
        folder = self._root / FOLDERS[stage]
        output = self._stages.get(stage, {}).get("output")
        return output is not None and folder.is_dir() and output == _digest_listing(folder)

    def inputs(self, stage: str) -> dict[str, Any]:
        """Returns the recorded inputs of `stage`; empty if it is not finished."""
        return self._stages.get(stage, {}).get("inputs", {})

    def find_changes(
        self, selection: Selection, rules: Rules, screen: str = SCREENS[0]
    ) -> dict[str, tuple[Any, Any]] | None:
        """Compares the settings of a finished preparation with others.

        Whether the source or the folders have changed since is not checked, which would take long.

        Returns:
            The value in the record and the other one of each field that differs, by its name; None
            if no preparation is finished.
        """
        unpacked, rest = self.inputs("unpack"), self.inputs("dedupe")
        if not rest or not (self._root / FOLDERS["dedupe"]).is_dir():
            return None
        old = _list_fields(unpacked) | rest["rules"] | {"screen": rest.get("screen", SCREENS[0])}
        new = _list_fields(selection.to_record(unpacked["lacking"])) | rules.to_record()
        new["screen"] = screen
        # a share that is not there is none
        pairs = {name: (old.get(name, 0), new.get(name, 0)) for name in old | new}
        return {name: (one, other) for name, (one, other) in pairs.items() if one != other}

    def invalidate(self, stage: str) -> None:
        """Marks `stage` and those after it as unfinished, before any of their files change."""
        for later in STAGES[STAGES.index(stage) :]:
            self._stages.pop(later, None)
            for name in self._pictures.get(later, ()):
                (self._root / PICTURES / name).unlink(missing_ok=True)
        self._write()

    def finish(self, stage: str, **facts: Any) -> None:
        """Marks `stage` as finished and records `facts` about it."""
        self._stages[stage] = facts | {"output": _digest_listing(self._root / FOLDERS[stage])}
        self._write()

    def _write(self) -> None:
        with staging.file(self._path) as partial:
            partial.write_text(json.dumps(self._stages, indent=2) + "\n", encoding="utf-8")


def _list_fields(unpacked: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of the configuration that a record of `Selection.to_record` holds."""
    made = dict(unpacked.get("made", {}))  # which records of older versions may lack, like others
    seed = {"split_seed": made.pop("seed")} if made else {}
    shares = {f"{split}_share": share for split, share in made.items()}
    names = unpacked.get("class_map", {}).items()
    class_map = "+".join(f"{name}={label}" for name, label in names)
    classes = "+".join(unpacked.get("classes", ()))
    usual = {"targets": LABEL, "splits": STANDARD}
    chosen = {name: unpacked.get(name, value) for name, value in usual.items()}
    return {"classes": classes, "class_map": class_map, **shares, **seed, **chosen}


def _digest_listing(folder: Path) -> str:
    """Computes a sha256 of the names and sizes of all files below `folder`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    lines = sorted(f"{path.relative_to(folder)} {path.stat().st_size}\n" for path in files)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
