"""Waiting for the worker while a client is connected."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from faceemo.inference.serve.errors import make_busy_error


async def wait_for_all(futures: Sequence[Future[Any]], request: Request, timeout: float) -> None:
    """Waits until the worker has resolved all futures; cancels those that it has not.

    Raises:
        ApiError: If it takes longer than `timeout` seconds.
        ClientDisconnect: If the client closes the connection meanwhile.
    """
    results = asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    disconnect = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait(
            {results, disconnect}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if results.done():
            return
        if disconnect.done():
            raise ClientDisconnect
        raise make_busy_error(f"no result after {timeout:g} seconds")
    finally:
        results.cancel()  # the worker then skips the jobs that it has not begun
        disconnect.cancel()
