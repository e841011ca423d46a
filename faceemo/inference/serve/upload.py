"""Receives uploaded images into memory, never onto the disk, within limits."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from faceemo.inference.serve.active import Held
from faceemo.inference.serve.errors import ApiError
from faceemo.inference.serve.limits import Limits

FIELD = "file"  # the form field that holds one image
FIELDS = "files"  # the form field of which there may be several
FORM = "multipart/form-data"
# Content types of a body that is the image itself, beside all of image/*.
_RAW = "application/octet-stream"
_DRAIN_SECONDS = 2.0  # for the rest of a refused request
# Malformed requests are reported to the client, not on the terminal.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class UploadedFile(NamedTuple):
    """A file in a request.

    Attributes:
        name: The name that the client gives it; it may be empty.
        content: Its content.
    """

    name: str
    content: bytes


class Images(NamedTuple):
    """The images in a request.

    Attributes:
        files: The images, at least one.
        is_list: Whether they are in the field of which there may be several.
    """

    files: list[UploadedFile]
    is_list: bool


async def read_images(request: Request, limits: Limits, held: Held) -> Images:
    """Returns the images of a request: those of a form, or its whole body.

    Args:
        request: The request.
        limits: The limits.
        held: Counts the bytes that the request holds.

    Raises:
        ApiError: If the request is too large, too slow, or holds no image in an accepted way.
        ClientDisconnect: If the client closes the connection before its request is complete.
    """
    kind = read_content_type(request)
    if kind == FORM:
        body = Body(request, limits.max_form_bytes(limits.max_files), held)
        async with receiving(request, body, limits.upload_timeout):
            return await _read_form(request, body, limits)
    if kind.startswith("image/") or kind == _RAW:
        body = Body(request, limits.max_bytes, held)
        async with receiving(request, body, limits.upload_timeout):
            content = b"".join([chunk async for chunk in body.chunks()])
        if not content:
            raise _make_malformed_error("an empty body")
        return Images([UploadedFile(request.query_params.get("name", ""), content)], False)
    async with receiving(request, Body(request, 0, held), limits.upload_timeout):
        raise _make_malformed_error(f"the content type '{kind[:80]}'")


def read_content_type(request: Request) -> str:
    """Returns the content type of a request without its parameters, such as the boundary."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@contextlib.asynccontextmanager
async def receiving(request: Request, body: "Body", timeout: float) -> AsyncIterator[None]:
    """Limits the time in which a body arrives, and reads the rest of one that is refused.

    Raises:
        ApiError: If it takes longer than `timeout` seconds.
    """
    try:
        async with asyncio.timeout(timeout):
            yield
    except ApiError:
        if not body.is_complete:
            await drain(request)
        raise
    except TimeoutError:
        raise ApiError(
            408,
            "slow_upload",
            expected=f"an upload that arrives within {timeout:g} seconds",
            found="only a part of it",
            fix="use a faster connection, or send a smaller file",
        ) from None


async def drain(request: Request) -> None:
    """Reads and discards the rest of a refused request, for at most `_DRAIN_SECONDS`.

    If the connection were closed at once, the client might not get the response (RFC 9112, 9.6).
    """
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while (await request.receive()).get("more_body"):
                pass


class Body:
    """The body of a request, read up to a limit.

    Args:
        request: The request.
        max_bytes: The limit.
        held: Counts the bytes that the request holds; None if they are not kept in memory.

    Attributes:
        is_complete: Whether all of it was read.
    """

    def __init__(self, request: Request, max_bytes: int, held: Held | None):
        self._request, self._max_bytes, self._held = request, max_bytes, held
        self.is_complete = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yields the body in chunks.

        A Content-Length above the limit is refused at once; one below it proves nothing, so that
        the bytes are counted too.

        Raises:
            ApiError: If the body is too large.
            ClientDisconnect: If the client closes the connection.
        """
        declared = self._request.headers.get("content-length", "")
        if declared.isdecimal() and len(declared) < 20 and int(declared) > self._max_bytes:
            raise make_too_large_error(self._max_bytes, f"{int(declared):,} bytes")
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
            if received > self._max_bytes:
                raise make_too_large_error(self._max_bytes, "more")
            if self._held:
                self._held.add(len(chunk))
            yield chunk


class _Parser(MultiPartParser):
    """A parser of forms that refuses a file as soon as it is too large.

    Args:
        request: The request, for its headers.
        body: The body.
        limits: The limits.
    """

    def __init__(self, request: Request, body: Body, limits: Limits):
        super().__init__(
            request.headers,
            body.chunks(),
            max_files=limits.max_files,
            max_fields=4,
            max_part_size=1024,
        )
        # Never reached, so that nothing is spooled to a file.
        self.spool_max_size = limits.max_bytes + 1
        self._max_bytes, self._part_bytes = limits.max_bytes, 0

    def on_part_begin(self) -> None:
        self._part_bytes = 0
        super().on_part_begin()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._part_bytes += end - start
        if self._part_bytes > self._max_bytes:
            raise make_too_large_error(self._max_bytes, "a larger file")
        super().on_part_data(data, start, end)


async def _read_form(request: Request, body: Body, limits: Limits) -> Images:
    try:
        form: FormData = await _Parser(request, body, limits).parse()
    except (MultiPartException, UnicodeError, ValueError) as error:
        reason = getattr(error, "message", "a form that cannot be read")
        raise _make_malformed_error(reason.rstrip(".")) from None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        found = {name: form.getlist(name) for name in (FIELD, FIELDS) if name in form}
        if len(found) != 1 or not all(isinstance(file, UploadFile) for file in form.values()):
            raise _make_malformed_error(f"the fields {sorted(form)}" if form else "an empty form")
        ((field, files),) = found.items()
        if field == FIELD and len(files) > 1:
            raise _make_malformed_error(
                f"{len(files)} files", f"send several images in the field '{FIELDS}'"
            )
        uploaded = [
            UploadedFile(file.filename or "", await file.read())
            for file in files
            if isinstance(file, UploadFile)
        ]
    if not all(file.content for file in uploaded):
        raise _make_malformed_error("an empty file")
    return Images(uploaded, field == FIELDS)


def make_too_large_error(max_bytes: int, found: str) -> ApiError:
    """Makes the error 413 for an upload of more than `max_bytes`."""
    return ApiError(
        413,
        "too_many_bytes",
        expected=f"an upload of at most {max_bytes / 2**20:.3g} MiB",
        found=found,
        fix="send a smaller file: scale the image down, or save it as JPEG",
    )


def _make_malformed_error(found: str, fix: str = "") -> ApiError:
    return ApiError(
        400,
        "malformed",
        expected=f"an image as the body, with a content type such as image/jpeg, or a form "
        f"({FORM}) with one image in the field '{FIELD}' or several in '{FIELDS}'",
        found=found,
        fix=fix or f"send it as `curl -F {FIELD}=@face.jpg` does",
    )
