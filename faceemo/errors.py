"""Errors that the user can fix, and how commands report them."""

import argparse
import contextlib
import difflib
import errno
import re
import sys
from collections.abc import Iterable, Iterator
from typing import NoReturn

_ELSEWHERE = (
    "or choose other folders: data_dir or --workdir for what is written, source for the images"
)
# Reasons for which a disk refuses to write, none of them a bug: what was expected, how to fix it.
_REFUSALS = {
    errno.ENOSPC: ("room on the disk", f"free some {_ELSEWHERE}"),
    errno.EDQUOT: ("room within the disk quota", f"free some {_ELSEWHERE}"),
    errno.EROFS: ("a disk that can be written to", f"mount it for writing, {_ELSEWHERE}"),
    errno.EACCES: ("the permission to read and write", f"grant it (chmod, chown), {_ELSEWHERE}"),
    errno.EPERM: ("the permission to read and write", f"grant it (chmod, chown), {_ELSEWHERE}"),
}


class UserError(ValueError):
    """An error in something that the user gave: a file, a folder or an option.

    The message is one paragraph in three parts: what was expected, what was found, how to fix it.
    Commands print it without a traceback (`reported`); any other exception is a bug.
    """

    def __init__(self, message: str = "", *, expected: str = "", found: str = "", fix: str = ""):
        """Takes the three parts, or the whole message, with which pickle and absl copy an error."""
        super().__init__(message or f"expected {expected}; found {found}. Fix: {fix}")


def closest(found: object, known: Iterable[object]) -> str | None:
    """Returns the known name that a mistyped one resembles most, or None.

    Args:
        found: The name as it was typed.
        known: All names that exist.
    """
    close = difflib.get_close_matches(str(found).lower(), [str(name) for name in known], n=1)
    return close[0] if close else None


def suggestion(found: object, known: Iterable[object], form: str = " (did you mean '{}'?)") -> str:
    """Returns " (did you mean 'batch_size'?)" for the closest known name, '' if none is close."""
    name = closest(found, known)
    return form.format(name) if name else ""


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser that suggests the closest choice or option for a mistyped one."""

    def error(self, message: str) -> NoReturn:
        """Prints usage and message with a suggestion, and exits with code 2."""
        if match := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)$", message):
            choices = [choice.strip("'") for choice in match[2].split(", ")]
            message += suggestion(match[1], choices)
        elif match := re.search(r"unrecognized arguments:.*?--([\w-]+)", message):
            options = set(re.findall(r"--([\w-]+)", self.format_help()))
            message += suggestion(match[1], options, " (did you mean --{}?)")
        super().error(message)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turns a `UserError`, or a disk's refusal, into one line on stderr and exit code 2."""
    try:
        with disk_refusals():
            yield
    except UserError as error:
        print(f"faceemo: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


@contextlib.contextmanager
def disk_refusals() -> Iterator[None]:
    """Turns errors of a full or read-only disk and of permissions into a `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        expected, fix = _REFUSALS[error.errno]
        where = f" at {error.filename}" if error.filename else ""
        raise UserError(
            expected=f"{expected}{where}", found=str(error.strerror), fix=fix
        ) from error
