"""Errors that the user can fix, how commands report them, and names as printable text."""

import codecs
import contextlib
import difflib
import errno
import importlib.util
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_ELSEWHERE = (
    "or choose other folders: --data-dir or --workdir for what is written, --source for the images"
)
# Reasons for which a disk refuses to write, none of them a bug: what was expected, how to fix it.
_REFUSALS = {
    errno.ENOSPC: ("room on the disk", f"free some {_ELSEWHERE}"),
    errno.EDQUOT: ("room within the disk quota", f"free some {_ELSEWHERE}"),
    errno.EROFS: ("a disk that can be written to", f"mount it for writing, {_ELSEWHERE}"),
    errno.EACCES: ("the permission to read and write", f"grant it (chmod, chown), {_ELSEWHERE}"),
    errno.EPERM: ("the permission to read and write", f"grant it (chmod, chown), {_ELSEWHERE}"),
    errno.ENOTDIR: ("a folder that can be made", f"move that file away, {_ELSEWHERE}"),
    errno.EEXIST: ("a folder that can be made", f"move that file away, {_ELSEWHERE}"),
}
# Folders that exist are used, so that these mean a file.
_IN_THE_WAY = (errno.ENOTDIR, errno.EEXIST)


class Extra(NamedTuple):
    """An extra of setup.py.

    Attributes:
        purpose: What it is for.
        packages: What it installs beyond the base, by the names under which it is imported.
        install: How to install it: where, and the command.
    """

    purpose: str
    packages: tuple[str, ...]
    install: str


EXTRAS = {
    "train": Extra(
        "training",
        (
            *("array_record", "cleanlab", "clu", "grain", "h5py", "imagehash", "sklearn"),
            *("tensorboard", "tensorflow_datasets"),
        ),
        "in a checkout of faceemo, pip install '.[train]'",
    ),
    "keras": Extra(
        "export to Keras and TFLite",
        ("keras", "tensorflow"),
        "in a checkout of faceemo, pip install '.[keras]'",
    ),
    "parquet": Extra(
        "Parquet files",
        ("pyarrow",),
        "in a checkout of faceemo, pip install '.[parquet]'",
    ),
    "onnx": Extra(
        "export to ONNX",
        ("onnx", "onnxruntime"),
        "in a checkout of faceemo, pip install '.[onnx]'",
    ),
}


# Names under which pip knows packages, where they differ from those for import.
_PIP_NAMES = {
    "imagehash": "ImageHash",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
}


class UserError(ValueError):
    """An error in something that the user gave: a file, a folder or an option.

    The message is one paragraph in three parts: what was expected, what was found, how to fix it.
    Commands print it without a traceback (`reported`); any other exception is a bug.
    """

    def __init__(self, message: str = "", *, expected: str = "", found: str = "", fix: str = ""):
        """Takes the three parts, or the whole message, with which pickle and absl copy an error."""
        text = message or f"expected {expected}; found {found}. Fix: {fix}"
        super().__init__(escape_name(text))


# Characters that end a line, drive a terminal or reverse the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Bytes of a file name that Python could not decode (PEP 383).
_UNDECODED = re.compile(r"[\udc80-\udcff]+")


def escape_name(name: str | os.PathLike[str]) -> str:
    r"""Returns a file's name or path as text that any terminal, file and figure can hold.

    Every name that leaves the program passes through here. Bytes that are not UTF-8 become `\xe9`,
    control characters `\n` or `\x1b`; anything else stays as it is, a backslash included. Escaping
    twice changes nothing.

    Args:
        name: The name as Python has it, from `os.listdir` for example.
    """
    text = _UNDECODED.sub(_decode_again, os.fspath(name))
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def escape_for_terminal() -> None:
    r"""Makes stdout write characters that the terminal lacks as `\u7b11`, as stderr does.

    Python would end with an error instead, after the work is done.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=ESCAPE)


def _escape_in_stream(error: UnicodeError) -> tuple[str, int]:
    """Escapes what an encoding lacks, as `codecs.register_error` wants it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    escaped = escape_name(error.object[error.start : error.end])
    return escaped.encode("ascii", "backslashreplace").decode("ascii"), error.end


ESCAPE = "faceemo.escape"  # `errors` of `open`: whatever the encoding lacks becomes its escape
codecs.register_error(ESCAPE, _escape_in_stream)


def _decode_again(match: re.Match[str]) -> str:
    """Decodes bytes as UTF-8, which they may be where the locale's encoding is another."""
    return match[0].encode("ascii", "surrogateescape").decode("utf-8", "backslashreplace")


def closest(found: object, known: Iterable[object]) -> str | None:
    """Returns the known name that a mistyped one resembles most, or None; always None for numbers.

    Args:
        found: The name as it was typed.
        known: All names that exist.
    """
    if str(found).lstrip("-").isdecimal():
        return None
    close = difflib.get_close_matches(str(found).lower(), [str(name) for name in known], n=1)
    return close[0] if close else None


def suggestion(found: object, known: Iterable[object], form: str = " (did you mean '{}'?)") -> str:
    """Returns " (did you mean 'batch_size'?)" for the closest known name, '' if none is close."""
    name = closest(found, known)
    return form.format(name) if name else ""


def suggest_path(path: Path, names: Iterable[str] = ()) -> str:
    """Returns " (did you mean 'checkpoints/vgg16-7'?)" for the closest name or path, or ''.

    One name in the path may be mistyped: that of the file or folder, or of a folder above it.

    Args:
        path: A path that was typed; if it exists, nothing is suggested.
        names: Names that the command takes in the place of a path, which are suggested first.
    """
    if path.exists():
        return ""
    typed, colon, rest = str(path).partition(":")
    if name := suggestion(typed, names, f" (did you mean '{{}}{colon}{rest}'?)"):
        return name
    missing, rest = path, Path()
    while not missing.parent.is_dir():
        missing, rest = missing.parent, Path(missing.name, rest)
    siblings = {entry.name.lower(): entry for entry in missing.parent.iterdir()}
    sibling = siblings.get(closest(missing.name, siblings) or "")
    if sibling is None or not (sibling / rest).exists():
        return ""
    return f" (did you mean '{sibling / rest}'?)"


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turns mistakes of the user into one line on stderr and exit code 2.

    These are a `UserError`, a disk's refusal, and a missing package of the extra 'train'.
    """
    escape_for_terminal()
    try:
        with disk_refusals(), _missing_training():
            yield
    except UserError as error:
        print(f"faceemo: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


@contextlib.contextmanager
def disk_refusals() -> Iterator[None]:
    """Turns errors of a full or read-only disk, permissions and files in the way to `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        expected, fix = _REFUSALS[error.errno]
        in_the_way = error.errno in _IN_THE_WAY
        found = "a file in its place or above it" if in_the_way else str(error.strerror)
        where = f" at {error.filename}" if error.filename else ""
        raise UserError(expected=f"{expected}{where}", found=found, fix=fix) from error


def pip_name(package: str) -> str:
    """Returns pip's name of a package that is known by its name for import."""
    return _PIP_NAMES.get(package, package)


@contextlib.contextmanager
def missing_packages(extra: str) -> Iterator[None]:
    """Turns a failed import into a `UserError` that names the missing packages of an extra.

    Args:
        extra: The extra, a key of `EXTRAS`.
    """
    try:
        yield
    except ImportError as error:
        purpose, packages, install = EXTRAS[extra]
        missing = [pip_name(name) for name in packages if not _is_installed(name)]
        raise UserError(
            expected=f"the packages for {purpose}",
            found=f"no {', '.join(missing)}" if missing else str(error),
            fix=install,
        ) from error


@contextlib.contextmanager
def _missing_training() -> Iterator[None]:
    """Turns the failed import of a package for training, and of no other, into a `UserError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in EXTRAS["train"].packages:
            raise
        with missing_packages("train"):
            raise


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # its import is blocked
        return False
