"""A client must soon say what it wants and take what it gets: uvicorn waits for both for ever."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from faceemo.inference.serve.middleware import CROWDED


class Impatient(H11Protocol):
    """Ends a connection whose client does not ask, asks too slowly, or does not read.

    What comes on too many connections the app refuses, in its own form, not uvicorn: see `CROWDED`.
    """

    seconds = 10.0  # for the head of a request
    unread_seconds = 30.0  # for what was answered to be taken

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As of asyncio; the first head is expected from now on."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """As of asyncio."""
        crowded = self._most is not None and len(self.connections) > self._most
        self.app_state = self.app_state | {CROWDED: crowded}
        super().data_received(data)

    def on_response_complete(self) -> None:
        """As of uvicorn; the next head is expected from now on."""
        super().on_response_complete()
        self._expect()

    def pause_writing(self) -> None:
        """As of asyncio; the client must read, or it is gone."""
        super().pause_writing()
        self._abort_later()

    def resume_writing(self) -> None:
        """As of asyncio."""
        super().resume_writing()
        if not self.transport.is_closing():  # which takes all of it to be read
            _cancel(self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        """As of asyncio."""
        _cancel(self._late)
        _cancel(self._unread)
        super().connection_lost(exc)

    def _expect(self) -> None:
        _cancel(self._late)
        self._late = self.loop.call_later(self.seconds, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            # It ends when all is sent, which takes somebody who reads.
            self.transport.close()
            self._abort_later()

    def _abort_later(self) -> None:
        _cancel(self._unread)
        self._unread = self.loop.call_later(self.unread_seconds, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
