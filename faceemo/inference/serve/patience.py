"""A connection must soon say what it wants: uvicorn itself waits for ever for a request's head."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Impatient(H11Protocol):
    """Closes a connection on which the head of a request does not come, or comes too slowly."""

    seconds = 10.0

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As of asyncio; the first head is expected from now on."""
        super().connection_made(transport)
        self._expect()

    def on_response_complete(self) -> None:
        """As of uvicorn; the next head is expected from now on."""
        super().on_response_complete()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """As of asyncio."""
        self._forget()
        super().connection_lost(exc)

    def _expect(self) -> None:
        self._forget()
        if not self.transport.is_closing():
            self._late = self.loop.call_later(self.seconds, self._give_up)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
