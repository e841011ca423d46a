"""An uploaded file, received into memory and never onto the disk, within limits."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from faceemo.inference.serve.errors import Refused
from faceemo.inference.serve.limits import Limits

FIELD = "file"
_FRAME = 16 * 2**10  # bytes of a multipart request beside the file
_LINGER = 2.0  # seconds for what a refused request still sends
# What is wrong with a request is told to who sent it, not to the terminal.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


async def read(request: Request, limits: Limits) -> bytes:
    """The content of the one file of a multipart request.

    Raises:
        Refused: if it is too large, too slow, or another kind of request.
        ClientDisconnect: if it breaks off.
    """
    body = _Body(request, limits)
    try:
        async with asyncio.timeout(limits.upload_seconds):
            return await _file(request, body, limits)
    except Refused:
        if not body.complete:
            await drop(request)
        raise
    except TimeoutError:
        raise Refused(
            408,
            "slow_upload",
            expected=f"a picture that arrives within {limits.upload_seconds:g} seconds",
            found="a part of one",
            fix="send it over a faster connection, or a smaller one",
        ) from None


async def drop(request: Request) -> None:
    """Reads what is left of a request that is refused, for a while.

    To close the connection at once would take the refusal from the client too (RFC 9112, 9.6).
    """
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(_LINGER):
            while (await request.receive()).get("more_body"):
                pass


class _Body:
    """A request's body, up to a limit."""

    def __init__(self, request: Request, limits: Limits):
        self._request, self._limits = request, limits
        self.complete = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """What the client says of its length is not relied on, but taken at its word."""
        most = self._limits.bytes + _FRAME
        said = self._request.headers.get("content-length", "")
        if said.isdecimal() and len(said) < 20 and int(said) > most:
            raise too_large(self._limits, f"{int(said):,} bytes")
        received = 0
        # by message, not by `stream`, which tells of the last one only when asked for another: a
        # form that is wrong from its start is never asked for more
        while not self.complete:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self.complete = not message.get("more_body", False)
            chunk = message.get("body", b"")
            received += len(chunk)
            if received > most:
                raise too_large(self._limits, "more")
            yield chunk


async def _file(request: Request, body: _Body, limits: Limits) -> bytes:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise _malformed(f"the content type '{kind[:80]}'")
    parser = MultiPartParser(
        request.headers, body.chunks(), max_files=1, max_fields=4, max_part_size=1024
    )
    # Never reached, so that nothing is spooled to a file.
    parser.spool_max_size = limits.bytes + _FRAME
    try:
        form: FormData = await parser.parse()
    except (MultiPartException, UnicodeError, ValueError) as error:
        raise _malformed(getattr(error, "message", type(error).__name__).rstrip(".")) from None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise _malformed(f"the fields {sorted(form.keys())}" if form else "an empty form")
        content = await file.read()
    if len(content) > limits.bytes:
        raise too_large(limits, f"{len(content):,} bytes")
    if not content:
        raise _malformed("an empty file")
    return content


def too_large(limits: Limits, found: str) -> Refused:
    """The refusal of too many bytes."""
    return Refused(
        413,
        "too_many_bytes",
        expected=f"a picture of at most {limits.bytes / 2**20:g} MiB",
        found=found,
        fix="make it smaller, or save it as JPEG",
    )


def _malformed(found: str) -> Refused:
    return Refused(
        400,
        "malformed",
        expected=f"a form (multipart/form-data) with one picture as '{FIELD}'",
        found=found,
        fix=f"send it as `curl -F {FIELD}=@face.jpg` does",
    )
