"""ONNX files of networks in the user's cache, each with the outcome of its comparison with JAX.

An entry is a folder that is written whole or not at all:

    CACHE/onnx/KEY/network.json   what is known of the network, and the comparison
    CACHE/onnx/KEY/model.onnx     the file, with logits; none if the comparison failed

The key is a digest of all that could make another file or another comparison.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faceemo
from faceemo import staging
from faceemo.assets import catalogue
from faceemo.assets.downloads import file_digest
from faceemo.assets.processor import processor_id
from faceemo.train.checkpoint import run_folders
from faceemo.train.checkpoint.model_file import resolve_builtin, stored_file
from faceemo.train.checkpoint.temperature import CALIBRATION

MODEL, _FACTS = "model.onnx", "network.json"
# Raise it when `onnx_file` or the comparison changes: then no older entry is used.
_VERSION = 1
_MAX_BYTES = 2**30  # of all entries; those that were not used for longest are removed


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of the cache.

    Attributes:
        recipe: The network's recipe.
        temperature: The network's temperature.
        best_epoch: The epoch that the weights come from.
        difference: Largest difference of a probability from JAX's.
        tolerance: Largest difference with which the file is used.
        sha256: Digest of the file, if it is used.
    """

    recipe: dict[str, Any]
    temperature: float
    best_epoch: int
    difference: float
    tolerance: float
    sha256: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the file computes what JAX does."""
        return self.difference <= self.tolerance  # not for NaN


def digest_network(path: Path) -> str | None:
    """Returns a digest of the files that hold a network's weights, without reading it with JAX.

    Args:
        path: The network, as accepted by `faceemo.train.checkpoint.trained_model.read`.

    Returns:
        The digest; None if there is no network.
    """
    path = resolve_builtin(path)
    if stored_file(path).is_file():
        return file_digest(stored_file(path))
    if not path.is_dir() or not run_folders.is_run(path):
        return None
    # the best leaves of those that train, and the leaves that do not
    files = [path / CALIBRATION, *(path / "frozen").rglob("*"), *(path / "best").rglob("*")]
    lines = [
        f"{file.relative_to(path).as_posix()} {file_digest(file)}"
        for file in sorted(files)
        if file.is_file()
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def name_entry(digest: str, runtime: str) -> Path:
    """Returns the folder of the entry of a network.

    Args:
        digest: The digest of its weights.
        runtime: The version of onnxruntime.
    """
    parts = (_VERSION, faceemo.__version__, runtime, processor_id(), digest)
    key = hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:32]
    return catalogue.cache_dir() / "onnx" / key


def read(folder: Path) -> Entry | None:
    """Reads an entry, and marks it as used; returns None if there is none, or it is damaged."""
    try:
        entry = Entry(**json.loads((folder / _FACTS).read_text(encoding="utf-8")))
        if entry.agrees and file_digest(folder / MODEL) != entry.sha256:
            return None
    except (OSError, ValueError, TypeError):
        return None
    with contextlib.suppress(OSError):  # it may belong to somebody else
        os.utime(folder)
    return entry


def read_or_write(folder: Path, make: Callable[[Path], Entry]) -> Entry:
    """Reads an entry, or writes it if there is none, while other processes wait for it.

    Args:
        folder: Its folder.
        make: Writes the network's file to the path that it is given, and returns the entry for it.

    Raises:
        OSError: If it cannot be written.
    """
    if entry := read(folder):
        return entry
    root = folder.parent
    root.mkdir(parents=True, exist_ok=True)
    with staging.locked(root):
        if entry := read(folder):  # another process has written it meanwhile
            return entry
        with staging.folder(folder) as partial:
            entry = make(partial / MODEL)
            if entry.agrees:
                entry = dataclasses.replace(entry, sha256=file_digest(partial / MODEL))
            else:
                (partial / MODEL).unlink()
            text = json.dumps(dataclasses.asdict(entry)) + "\n"
            (partial / _FACTS).write_text(text, encoding="utf-8")
        _remove_oldest(root, folder)
    return entry


def _remove_oldest(root: Path, kept: Path) -> None:
    """Removes the entries that were not used for longest, down to `_MAX_BYTES` in all."""
    entries = [one for one in root.iterdir() if one.is_dir() and one != kept]
    room = _MAX_BYTES - _measure(kept)
    for one in sorted(entries, key=lambda entry: entry.stat().st_mtime, reverse=True):
        room -= _measure(one)
        if room < 0:
            shutil.rmtree(one, ignore_errors=True)


def _measure(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
