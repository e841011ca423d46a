"""The requests in progress, which are limited in number and in the bytes that they hold."""

import contextlib
from collections.abc import Iterator

from faceemo.inference.serve.errors import make_busy_error
from faceemo.inference.serve.limits import Limits


class Held:
    """The bytes that one request holds in memory."""

    def __init__(self, active: "ActiveRequests"):
        self._active, self.bytes = active, 0

    def add(self, count: int) -> None:
        """Counts more bytes.

        Raises:
            ApiError: If all requests together then hold too many.
        """
        self.bytes += count
        self._active.bytes += count
        if self._active.bytes > self._active.max_bytes:
            raise make_busy_error("other uploads that fill the memory set aside for them")


class ActiveRequests:
    """The requests in progress; only the event loop's thread uses it.

    Attributes:
        count: Their number.
        bytes: The bytes that they hold.
        max_bytes: The most bytes that they may hold: as many as if each had one file of the
            largest size, but enough for one request alone.
    """

    def __init__(self, limits: Limits):
        self.count, self.bytes = 0, 0
        self.max_bytes = max(
            limits.max_requests * limits.max_form_bytes(1),
            limits.max_form_bytes(limits.max_files),
        )

    @contextlib.contextmanager
    def counted(self) -> Iterator[Held]:
        """Counts a request, and the bytes that it holds, while the context is open."""
        held = Held(self)
        self.count += 1
        try:
            yield held
        finally:
            self.count -= 1
            self.bytes -= held.bytes
