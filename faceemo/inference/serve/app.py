"""The demo and the API as an ASGI app."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from concurrent.futures import Future
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import faceemo
from faceemo.inference.predictor import Predictor
from faceemo.inference.serve import pages, upload
from faceemo.inference.serve.errors import Refused, busy
from faceemo.inference.serve.heatmaps import MOST
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.middleware import LOOPBACK, Guard
from faceemo.inference.serve.model_info import about
from faceemo.inference.serve.schemas import About, Answer, Health, Problem
from faceemo.inference.serve.worker import Worker

_GONE = 499  # by custom; nobody reads it
_FILE = {"type": "string", "format": "binary", "description": "A picture."}
_FORM = {"type": "object", "required": [upload.FIELD], "properties": {upload.FIELD: _FILE}}
_STATUSES = {
    400: "not a form with one file",
    403: "asked by a page of another site",
    408: "it arrived too slowly",
    413: "too many bytes or pixels",
    415: "no picture, by its content",
    421: "asked by a name that is not this server's",
    422: "damaged, or options that are none",
    503: "too many who ask, or too slow an answer; Retry-After says when to come back",
}  # fmt: skip


def make_app(
    predictor: Predictor,
    limits: Limits | None = None,
    *,
    names: Collection[str] = LOOPBACK,
    numbers: bool = False,
    summary: Mapping[str, Any] | None = None,
    source: str | None = None,
    worker: Worker | None = None,
) -> Guard:
    """The whole server but its socket.

    Args:
        predictor: that the app alone uses from now on.
        limits: of requests; the usual ones if None.
        names: of hosts that it answers as, like `numbers`, see `Guard`.
        numbers: whether as any IP address too.
        summary: of the run, see `about.read_summary`.
        source: of its images, see `about.read_source`.
        worker: that answers, if the caller has one that is warm already.
    """
    limits = limits or Limits()
    worker = worker or Worker(predictor, limits)
    facts = about(predictor.trained, limits, summary or {}, source)
    rooms = _Rooms()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        worker.close()

    app = FastAPI(
        title="faceemo",
        version=faceemo.__version__,
        description="What the faces in a picture express, by a trained network.",
        docs_url=None,  # it would fetch scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would lead to whatever the request calls this host
        lifespan=lifespan,
    )
    _tell_problems(app)

    @app.post(
        "/api/predict",
        summary="Say what the faces in a picture express",
        responses={code: {"model": Problem, "description": d} for code, d in _STATUSES.items()},
        openapi_extra={"requestBody": {"content": {"multipart/form-data": {"schema": _FORM}}}},
    )
    async def predict(
        request: Request,
        heat: Annotated[
            bool, Query(description=f"Whether maps of the {MOST} largest faces are made.")
        ] = False,
        crops: Annotated[
            bool, Query(description="Whether the picture is a face as it is: none is searched.")
        ] = False,
    ) -> Answer:
        if max(rooms.inside, worker.waiting) >= limits.places:
            await upload.drop(request)
            raise busy(f"{limits.places} requests that wait already")
        with rooms.taken():
            content = await upload.read(request, limits)
            future = worker.submit(content, crops=crops, heat=heat)
            return await _answered(future, request, limits.answer_seconds)

    @app.get("/api/model", summary="Tell what answers")
    async def model() -> About:
        return facts

    @app.get("/api/health", summary="Tell whether it can answer")
    async def health() -> Health:
        return Health(status="ok", requests=rooms.inside, places=limits.places)

    for address, file in pages.made(facts, app.openapi()).items():
        app.add_api_route(address, _sender(file), include_in_schema=False)
    return Guard(app, names, numbers=numbers)


class _Rooms:
    """How many requests are inside; only the event loop's thread asks."""

    def __init__(self):
        self.inside = 0

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """A place, for a while."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


async def _answered(future: Future[Answer], request: Request, seconds: float) -> Answer:
    """The worker's answer, unless it takes too long or the client is gone."""
    answer = asyncio.wrap_future(future)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({answer, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if gone.done():
            raise ClientDisconnect
        raise busy(f"none after {seconds:g} seconds")
    finally:
        answer.cancel()  # the worker then leaves it out, if it has not begun
        gone.cancel()


def _sender(file: pages.File):
    async def send() -> Response:
        return Response(file.content, headers={"Content-Type": file.kind})

    return send


def _tell_problems(app: FastAPI) -> None:
    """Gives every error the one form."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return JSONResponse(error.body, error.status, error.headers)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        told = Refused(
            error.status_code,
            "no_such_address",
            expected="an address that /api lists, asked as it says there",
            found=f"{request.method} {request.scope['path'][:80]}",
            fix="correct it",
        )
        return JSONResponse(told.body, error.status_code, error.headers)

    async def options(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        wrong = ", ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
        told = Refused(
            422,
            "malformed",
            expected="the options that /api lists",
            found=wrong[:200],
            fix="correct them",
        )
        return JSONResponse(told.body, told.status)

    async def gone(_: Request, error: Exception) -> Response:
        return Response(status_code=_GONE)

    async def bug(_: Request, error: Exception) -> Response:
        told = Refused(
            500,
            "bug",
            expected="an answer",
            found=f"{type(error).__name__} in faceemo",
            fix="report it; the server's terminal shows where it happened",
        )
        return JSONResponse(told.body, told.status)

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, options)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, bug)
