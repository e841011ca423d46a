"""The one kind of answer that says why a request was not answered."""

from typing import Any

_RETRY_AFTER = 2  # seconds


class Refused(Exception):
    """A request that does not fit, or a server that cannot take it now.

    Args:
        status: of HTTP.
        error: a word for programs.
        expected: as in `faceemo.errors.UserError`, for people; so are the next two.
        found: what came instead.
        fix: how the caller mends it.
        retry_after: seconds, if the same request can succeed later.
    """

    def __init__(
        self, status: int, error: str, *, expected: str, found: str, fix: str, retry_after: int = 0
    ):
        super().__init__(f"expected {expected}; found {found}. Fix: {fix}")
        self.status = status
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}
        self.body: dict[str, Any] = {
            "error": error,
            "expected": expected,
            "found": found,
            "fix": fix,
            "message": str(self),
        }


def busy(found: str) -> Refused:
    """The refusal of what may succeed in a moment."""
    return Refused(
        503,
        "busy",
        expected="time for an answer",
        found=found,
        fix=f"try again in {_RETRY_AFTER} seconds",
        retry_after=_RETRY_AFTER,
    )
