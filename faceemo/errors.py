"""The one kind of error that is the user's to mend."""

import contextlib
import sys
from collections.abc import Iterator


class UserError(ValueError):
    """Something the user gave (a file, a folder, an option) does not fit.

    The message is one paragraph in three parts: what was expected, what was found, how to fix it.
    Commands print it without a traceback (`reported`); any other exception is a bug.
    """

    def __init__(self, message: str = "", *, expected: str = "", found: str = "", fix: str = ""):
        """Takes the three parts; or the whole, as pickle and absl do to make the error anew."""
        super().__init__(message or f"expected {expected}; found {found}. Fix: {fix}")


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turns a `UserError` into one line on stderr and exit code 2."""
    try:
        yield
    except UserError as error:
        print(f"faceemo: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
