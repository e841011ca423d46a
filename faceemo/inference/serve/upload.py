"""Receives an uploaded file into memory, never onto the disk, within limits."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from faceemo.inference.serve.errors import ApiError
from faceemo.inference.serve.limits import Limits

FIELD = "file"  # the form field that holds the image
_FORM_OVERHEAD = 16 * 2**10  # bytes of a multipart request beside the file
_DRAIN_SECONDS = 2.0  # for the rest of a refused request
# Malformed requests are reported to the client, not on the terminal.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


async def read_upload(request: Request, limits: Limits) -> bytes:
    """Returns the content of the one file in a multipart request.

    Raises:
        ApiError: If the request is too large, too slow, or not a form with one file.
        ClientDisconnect: If the client closes the connection before its request is complete.
    """
    body = _Body(request, limits)
    try:
        async with asyncio.timeout(limits.upload_timeout):
            return await _read_file(request, body, limits)
    except ApiError:
        if not body.is_complete:
            await drain(request)
        raise
    except TimeoutError:
        raise ApiError(
            408,
            "slow_upload",
            expected=f"an upload that arrives within {limits.upload_timeout:g} seconds",
            found="only a part of it",
            fix="use a faster connection, or send a smaller image",
        ) from None


async def drain(request: Request) -> None:
    """Reads and discards the rest of a refused request, for at most `_DRAIN_SECONDS`.

    If the connection were closed at once, the client might not get the response (RFC 9112, 9.6).
    """
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while (await request.receive()).get("more_body"):
                pass


class _Body:
    """The body of a request, read up to the size limit."""

    def __init__(self, request: Request, limits: Limits):
        self._request, self._limits = request, limits
        self.is_complete = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yields the body in chunks.

        A Content-Length above the limit is refused at once; one below it proves nothing, so that
        the bytes are counted too.

        Raises:
            ApiError: If the body is too large.
            ClientDisconnect: If the client closes the connection.
        """
        max_bytes = self._limits.max_bytes + _FORM_OVERHEAD
        declared = self._request.headers.get("content-length", "")
        if declared.isdecimal() and len(declared) < 20 and int(declared) > max_bytes:
            raise _make_too_large_error(self._limits, f"{int(declared):,} bytes")
        received = 0
        # Reads messages, not `request.stream()`, which notices the end of a body only when asked
        # for a chunk after the last; the parser of a malformed form stops before that.
        while not self.is_complete:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self.is_complete = not message.get("more_body", False)
            chunk = message.get("body", b"")
            received += len(chunk)
            if received > max_bytes:
                raise _make_too_large_error(self._limits, "a larger file")
            yield chunk


async def _read_file(request: Request, body: _Body, limits: Limits) -> bytes:
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise _make_malformed_error(f"the content type '{content_type[:80]}'")
    parser = MultiPartParser(
        request.headers, body.chunks(), max_files=1, max_fields=4, max_part_size=1024
    )
    # Never reached, so that nothing is spooled to a file.
    parser.spool_max_size = limits.max_bytes + _FORM_OVERHEAD
    try:
        form: FormData = await parser.parse()
    except (MultiPartException, UnicodeError, ValueError) as error:
        reason = getattr(error, "message", type(error).__name__)
        raise _make_malformed_error(reason.rstrip(".")) from None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise _make_malformed_error(f"the fields {sorted(form)}" if form else "an empty form")
        content = await file.read()
    if len(content) > limits.max_bytes:
        raise _make_too_large_error(limits, f"{len(content):,} bytes")
    if not content:
        raise _make_malformed_error("an empty file")
    return content


def _make_too_large_error(limits: Limits, found: str) -> ApiError:
    return ApiError(
        413,
        "too_many_bytes",
        expected=f"an image file of at most {limits.max_bytes / 2**20:g} MiB",
        found=found,
        fix="scale the image down, or save it as JPEG",
    )


def _make_malformed_error(found: str) -> ApiError:
    return ApiError(
        400,
        "malformed",
        expected=f"a form (multipart/form-data) with one image file in the field '{FIELD}'",
        found=found,
        fix=f"send it as `curl -F {FIELD}=@face.jpg` does",
    )
