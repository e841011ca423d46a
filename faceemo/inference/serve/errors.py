"""The error with which the API answers a request that it refuses."""

from typing import Any

_RETRY_AFTER = 2  # seconds


class ApiError(Exception):
    """A refused request: an HTTP status and a JSON body (see `schemas.ErrorResponse`).

    Args:
        status: HTTP status code.
        code: Error code for programs, such as 'malformed'.
        expected: First part of the message for people, as in `faceemo.errors.UserError`.
        found: Second part of the message: what came instead.
        fix: Third part of the message: how the client can correct it.
        retry_after: Seconds after which the same request may succeed; 0 if it never will.
    """

    def __init__(
        self, status: int, code: str, *, expected: str, found: str, fix: str, retry_after: int = 0
    ):
        super().__init__(f"expected {expected}; found {found}. Fix: {fix}")
        self.status = status
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}
        self.body: dict[str, Any] = {
            "error": code,
            "expected": expected,
            "found": found,
            "fix": fix,
            "message": str(self),
        }


def make_busy_error(found: str) -> ApiError:
    """Makes the error 503 for a request that may succeed in a moment."""
    return ApiError(
        503,
        "busy",
        expected="a server with capacity for this request",
        found=found,
        fix=f"try again in {_RETRY_AFTER} seconds",
        retry_after=_RETRY_AFTER,
    )
