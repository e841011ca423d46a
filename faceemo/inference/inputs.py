"""The files that a user names, or that lie in folders, each with what it holds."""

import collections
import dataclasses
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from faceemo.errors import UserError, escape_name
from faceemo.inference.file_kinds import IMAGE, OTHER, UNREADABLE, Content, recognise


@dataclasses.dataclass(frozen=True)
class Input:
    """A file that was named or found.

    Attributes:
        path: Its path.
        content: What it holds, or why nothing can be predicted on it.
    """

    path: Path
    content: Content

    @property
    def kind(self) -> str:
        """The kind of the content, see `file_kinds.Content`."""
        return self.content.kind

    def __str__(self) -> str:
        return f"{escape_name(self.path)}: {self.content.reason}"


def find_inputs(paths: Iterable[Path]) -> list[Input]:
    """Lists files, and all that lies in and below folders, linked folders included.

    Every folder is read once, whatever links lead to it, so that circles of links end. Folders
    that cannot be opened are listed too, with the reason.

    Args:
        paths: Files and folders, in the order in which they are listed; the files of a folder are
            in the order of their paths.

    Raises:
        UserError: If a path does not exist, or a folder holds nothing to predict on.
    """
    found: list[Input] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(_walk(path), key=lambda one: one.path)
            refuse_others_alone(path, inside)
            found += inside
        elif path.exists():
            found.append(Input(path, _recognise_any(path)))
        else:
            raise UserError(
                expected=f"an image or a folder at {path}", found="nothing", fix="correct the path"
            )
    return found


def find_images(paths: Iterable[Path]) -> list[Path]:
    """Lists the images, and the files that should be images, as `find_inputs` does."""
    return [one.path for one in find_inputs(paths) if one.kind in (IMAGE, UNREADABLE)]


def describe_others(inputs: Iterable[Input], longest: int = 20) -> list[str]:
    """Returns a line for each file that is no image or video; one for each reason if they are many.

    Args:
        inputs: The inputs, of all kinds.
        longest: The largest number of files that are listed one by one.
    """
    others = [one for one in inputs if one.kind == OTHER]
    if len(others) <= longest:
        return [str(one) for one in others]
    counts = collections.Counter(one.content.reason for one in others)
    first = {one.content.reason: escape_name(one.path) for one in reversed(others)}
    return [f"{count}, such as {first[reason]}: {reason}" for reason, count in counts.items()]


def refuse_others_alone(place: Path | None, inputs: Iterable[Input]) -> None:
    """Raises a `UserError` if there is nothing to predict on among `inputs`.

    Args:
        place: The folder that holds them; None if they were named.
        inputs: The inputs.
    """
    others = []
    for one in inputs:
        if one.kind != OTHER:
            return
        others.append(one)
    raise UserError(
        expected=f"an image in {place}, or below it" if place else "an image or a video",
        found=f"{others[0]}{f', and {len(others) - 1} more' * (len(others) > 1)}"
        if others
        else "no file",
        fix="correct the path, or name photographs or videos",
    )


def _walk(root: Path) -> Iterator[Input]:
    """Yields what lies in and below a folder, in no particular order."""
    visited: set[tuple[int, int]] = set()
    unopened: list[OSError] = []
    # Links come after all real folders, so that files have the paths without links.
    waiting = [root]
    while waiting:
        start = waiting.pop(0)
        for name, folders, files in os.walk(start, onerror=unopened.append):
            folder = Path(name)
            about = folder.stat()
            if (about.st_dev, about.st_ino) in visited:
                folders.clear()
                reason = "a link to a folder that is read under another name"
                yield Input(folder, Content(OTHER, reason=reason))
                continue
            visited.add((about.st_dev, about.st_ino))
            waiting += sorted(folder / one for one in folders if (folder / one).is_symlink())
            for one in files:
                yield Input(folder / one, _recognise_any(folder / one))
    for error in unopened:
        reason = f"{type(error).__name__}: {error.strerror}"
        yield Input(Path(error.filename), Content(UNREADABLE, reason=reason))


def _recognise_any(path: Path) -> Content:
    """Recognises what a file holds, without opening pipes and devices, which may block."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink():
            return Content(UNREADABLE, reason=f"a link that leads nowhere ({error.strerror})")
        return Content(UNREADABLE, reason=f"{type(error).__name__}: {error.strerror}")
    if not stat.S_ISREG(mode):
        return Content(OTHER, reason="a pipe, socket or device")
    return recognise(path)
