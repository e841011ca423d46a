"""Timeouts for slow clients; uvicorn by itself waits for them for ever."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from faceemo.inference.serve.middleware import TOO_MANY_CONNECTIONS


class TimeoutProtocol(H11Protocol):
    """Closes a connection whose client sends no request, sends it too slowly, or does not read.

    Requests that come while too many connections are open are marked `TOO_MANY_CONNECTIONS`, so
    that the app can refuse them with an error of the API, which uvicorn would not do.
    """

    header_timeout = 10.0  # seconds for the headers of a request to arrive
    write_timeout = 30.0  # seconds for the client to read what was sent

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._max_connections, self.limit_concurrency = self.limit_concurrency, None
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the timeout for the first headers."""
        super().connection_made(transport)
        self._start_header_timer()

    def data_received(self, data: bytes) -> None:
        """Marks the request if too many connections are open."""
        limit = self._max_connections
        exceeded = limit is not None and len(self.connections) > limit
        self.app_state = self.app_state | {TOO_MANY_CONNECTIONS: exceeded}
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Starts the timeout for the headers of the next request."""
        super().on_response_complete()
        self._start_header_timer()

    def pause_writing(self) -> None:
        """Starts the timeout for the client to read."""
        super().pause_writing()
        self._start_write_timer()

    def resume_writing(self) -> None:
        """Stops the timeout for the client to read."""
        super().resume_writing()
        if not self.transport.is_closing():  # which waits until the client has read everything
            _cancel(self._write_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops all timeouts."""
        _cancel(self._header_timer)
        _cancel(self._write_timer)
        super().connection_lost(exc)

    def _start_header_timer(self) -> None:
        _cancel(self._header_timer)
        self._header_timer = self.loop.call_later(self.header_timeout, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            # The connection ends once everything is sent, for which the client has to read.
            self.transport.close()
            self._start_write_timer()

    def _start_write_timer(self) -> None:
        _cancel(self._write_timer)
        self._write_timer = self.loop.call_later(self.write_timeout, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
