"""The log of a run: all that training prints, and the details that it does not print."""

import contextlib
import datetime
import io
import shlex
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from faceemo.errors import UserError

NAME = "train.log"


class _File:
    """A log file that is appended to as soon as its folder exists; until then it is in memory."""

    def __init__(self, path: Path):
        self._path = path
        self._waiting = ""

    def append(self, text: str) -> None:
        self._waiting += text
        if self._path.parent.is_dir():
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(self._waiting)
            self._waiting = ""


class _Output(io.TextIOBase):
    """An output whose text goes into a log, and to the output of before unless that is None."""

    def __init__(self, log: _File, shown: TextIO | None):
        self.log = log
        self._shown = shown

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return getattr(self._shown, "encoding", None) or "utf-8"

    def write(self, text: str, /) -> int:
        self.log.append(text)
        if self._shown is not None:
            self._shown.write(text)
        return len(text)

    def flush(self) -> None:
        if self._shown is not None:
            self._shown.flush()

    def isatty(self) -> bool:
        return self._shown is not None and self._shown.isatty()


@contextlib.contextmanager
def keep(workdir: Path) -> Iterator[None]:
    """Appends all that is printed meanwhile, and the error at the end, to `workdir`/train.log.

    The folder is not made: a run that ends before its folder exists leaves no log.

    Args:
        workdir: The run's folder.
    """
    log = _File(workdir / NAME)
    now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    log.append(f"--- {now}  {shlex.join(sys.argv)}\n")
    with contextlib.redirect_stdout(_Output(log, sys.stdout)):
        try:
            yield
        except UserError as error:
            log.append(f"faceemo: error: {error}\n")
            raise
        except Exception:
            log.append(traceback.format_exc())
            raise


@contextlib.contextmanager
def details() -> Iterator[None]:
    """Sends what is printed meanwhile to the log alone; without a log it is printed as usual."""
    if isinstance(sys.stdout, _Output):
        with contextlib.redirect_stdout(_Output(sys.stdout.log, None)):
            yield
    else:
        yield


def warn(text: str) -> None:
    """Prints a warning on stderr and adds it to the log."""
    tell(f"warning: {text}")


def tell(text: str) -> None:
    """Prints a line on stderr and adds it to the log."""
    print(text, file=sys.stderr, flush=True)
    if isinstance(sys.stdout, _Output):
        sys.stdout.log.append(f"{text}\n")
