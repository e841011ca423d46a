"""Writes files and folders so that they appear whole or not at all.

Everything is written under a hidden temporary name beside its final name and then renamed, so that
a process killed at any point leaves nothing incomplete that could pass for finished. Its leftovers
are removed when the same name is written again.
"""

import contextlib
import glob
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: run one process at a time
    fcntl = None

from faceemo.errors import UserError

MAX_NAME_BYTES = 255  # the limit of file systems
_HALF = ".half"  # a file in a folder that is being filled, until it is whole


def make_folder(path: Path, final: Path | None = None) -> None:
    """Makes a folder and those above it, unless it exists.

    Args:
        path: The folder.
        final: Its final name, for the message; None if that is `path`.

    Raises:
        UserError: If the file system makes no folders there, as /proc does not.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise _refuse_place(final or path) from error


def _refuse_place(path: Path) -> UserError:
    return UserError(
        expected=f"a place that can be written to at {path}",
        found="a file system that takes no new files there",
        fix="name another place for what is written",
    )


@contextlib.contextmanager
def folder(final: Path, key: str = "") -> Iterator[Path]:
    """Yields an empty folder to fill, which then takes the place of `final`.

    An older `final` is removed after the new one is in place. If the body raises, `final` stays
    as it was.

    Args:
        final: The folder.
        key: Letters and digits that stand for what will be in the folder. If they are given, what
            a process had filled in when it was killed or interrupted is still there for the next
            one with the same key, which goes on from it. `copy_file` and `write_file` add only
            whole files.
    """
    partial = _name_beside(final, f".{{}}.{key}.partial" if key else ".{}.partial")
    old = _name_beside(final, ".{}.old")
    if old.exists() and not final.exists():
        old.replace(final)  # a process was killed between the two renames below
    others = final.parent.glob(f".{glob.escape(final.name)}.*partial")
    for leftover in (old, *(other for other in others if not key or other != partial)):
        _remove(leftover)
    make_folder(partial, final)
    try:
        yield partial
    except BaseException as error:
        if not key or isinstance(error, Exception):  # one of which the next process would die, too
            shutil.rmtree(partial)
        raise
    if final.exists():
        final.replace(old)
    try:
        partial.replace(final)
    except OSError:
        if old.exists():
            old.replace(final)
        raise
    _remove(old)


def copy_file(source: Path, folder: Path, name: str) -> None:
    """Copies a file to `name` below a folder that is being filled, unless it is there already."""
    if not (folder / name).exists():
        shutil.copyfile(source, folder / _HALF)
        os.replace(folder / _HALF, folder / name)  # noqa: PTH105 (300,000 are not to be slower)


def write_file(content: bytes, folder: Path, name: str) -> None:
    """Writes a file to `name` below a folder that is being filled."""
    (folder / _HALF).write_bytes(content)
    os.replace(folder / _HALF, folder / name)  # noqa: PTH105


def _name_beside(final: Path, form: str) -> Path:
    """Returns the temporary path for `final`; a digest stands for a name that gets too long."""
    name = form.format(final.name)
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        digest = hashlib.sha256(os.fsencode(final.name)).hexdigest()
        name = form.format(digest + final.suffix[:32])
    return final.with_name(name)


def _remove(folder: Path) -> None:
    """Removes a folder; of a link only the link, because its target belongs to the user."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


@contextlib.contextmanager
def file(final: Path) -> Iterator[Path]:
    """Yields a path with the same suffix to write to, which then takes the place of `final`."""
    make_folder(final.parent, final)
    partial = _name_beside(final, ".partial.{}")
    try:
        yield partial
    except FileNotFoundError as error:
        partial.unlink(missing_ok=True)
        if error.filename and Path(error.filename) == partial:
            raise _refuse_place(final) from error
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(final)


@contextlib.contextmanager
def locked(root: Path, *, wait: bool = True) -> Iterator[None]:
    """Waits until no other process writes in `root`, and keeps others waiting meanwhile.

    The lock belongs to the open file, so the system releases it however the process ends.

    Args:
        root: Folder that is locked, by a file .lock in it.
        wait: Whether to wait for the lock; otherwise a lock that is held raises.

    Raises:
        BlockingIOError: If another process holds the lock and `wait` is False.
    """
    with (root / ".lock").open("w") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
