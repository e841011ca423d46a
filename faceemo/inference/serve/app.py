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
from faceemo.errors import suggestion
from faceemo.inference.predictor import Predictor
from faceemo.inference.serve import pages, upload
from faceemo.inference.serve.errors import ApiError, make_busy_error
from faceemo.inference.serve.heatmaps import MAX_HEATMAPS
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.middleware import LOOPBACK_HOSTS, SecurityMiddleware
from faceemo.inference.serve.model_info import make_model_info
from faceemo.inference.serve.schemas import ErrorResponse, Health, ModelInfo, PredictResponse
from faceemo.inference.serve.worker import Worker

_CLIENT_CLOSED_REQUEST = 499  # a convention; nobody receives it
_FILE_SCHEMA = {"type": "string", "format": "binary", "description": "The image."}
_FORM_SCHEMA = {
    "type": "object",
    "required": [upload.FIELD],
    "properties": {upload.FIELD: _FILE_SCHEMA},
}
_PARAMETERS = ("heat", "crops")  # those of /api/predict, both true or false
_ERRORS = {
    400: "the request is not a form with exactly one file",
    403: "a page of another site sent the request",
    408: "the upload took too long",
    413: "the file has too many bytes, or the image too many pixels",
    415: "the content of the file is not an image in an accepted format",
    421: "the host name is not one of this server's",
    422: "the image is damaged, or a query parameter is unknown or invalid",
    503: "the server is busy, or took too long; Retry-After says when to try again",
}


def make_app(
    predictor: Predictor,
    limits: Limits | None = None,
    *,
    allowed_hosts: Collection[str] = LOOPBACK_HOSTS,
    allow_ip_hosts: bool = False,
    summary: Mapping[str, Any] | None = None,
    source: str | None = None,
    worker: Worker | None = None,
) -> SecurityMiddleware:
    """Makes the app, behind its middleware.

    Args:
        predictor: The predictor.
        limits: Limits on requests; the default ones if None.
        allowed_hosts: Hosts that a request may name, see `SecurityMiddleware`.
        allow_ip_hosts: Whether a request may name any IP address too.
        summary: Results of the run, see `model_info.read_summary`.
        source: Source of the training images, see `model_info.read_source`.
        worker: A worker of `predictor` to use, such as one that is warmed up; a new one if None.
    """
    limits = limits or Limits()
    worker = worker or Worker(predictor, limits)
    info = make_model_info(
        predictor.network,
        limits,
        summary or {},
        source,
        predictor.finder.threshold,
        str(predictor.engine),
    )
    active = _ActiveRequests()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        worker.close()

    app = FastAPI(
        title="faceemo",
        version=faceemo.__version__,
        description="Predicts the emotions of the faces in an image.",
        docs_url=None,  # that page would load scripts from another site
        redoc_url=None,
        redirect_slashes=False,  # redirects would go to whatever host the request names
        lifespan=lifespan,
    )
    _add_error_handlers(app)

    @app.post(
        "/api/predict",
        summary="Predict the emotion of every face in an image",
        responses={
            status: {"model": ErrorResponse, "description": text}
            for status, text in _ERRORS.items()
        },
        openapi_extra={
            "requestBody": {"content": {"multipart/form-data": {"schema": _FORM_SCHEMA}}}
        },
    )
    async def predict(
        request: Request,
        heat: Annotated[
            bool,
            Query(description=f"Whether heatmaps of the {MAX_HEATMAPS} largest faces are made."),
        ] = False,
        crops: Annotated[
            bool,
            Query(description="Whether the whole image is one face: no other is searched for."),
        ] = False,
    ) -> PredictResponse:
        _refuse_unknown_parameters(request)
        if max(active.count, worker.queue_size) >= limits.max_requests:
            await upload.drain(request)
            raise make_busy_error(f"{limits.max_requests} requests in progress")
        with active.counted():
            content = await upload.read_upload(request, limits)
            future = worker.submit(content, crops=crops, heat=heat)
            return await _wait_for_response(future, request, limits.response_timeout)

    @app.get("/api/model", summary="Describe the network that makes the predictions")
    async def model() -> ModelInfo:
        return info

    @app.get("/api/health", summary="Report the state of the server")
    async def health() -> Health:
        return Health(status="ok", requests=active.count, places=limits.max_requests)

    for path, file in pages.make_static_files(info, app.openapi()).items():
        app.add_api_route(path, _make_static_handler(file), include_in_schema=False)
    return SecurityMiddleware(app, allowed_hosts, allow_ip_hosts=allow_ip_hosts)


def _refuse_unknown_parameters(request: Request) -> None:
    """Refuses a query parameter that /api/predict does not have.

    Raises:
        ApiError: If there is one.
    """
    unknown = next((name for name in request.query_params if name not in _PARAMETERS), None)
    if unknown is not None:
        raise ApiError(
            422,
            "malformed",
            expected=f"no query parameters but {' and '.join(_PARAMETERS)}",
            found=f"'{unknown[:80]}'{suggestion(unknown[:80], _PARAMETERS)}",
            fix="correct it, or leave it out",
        )


class _ActiveRequests:
    """The number of requests in progress; only the event loop's thread uses it."""

    def __init__(self):
        self.count = 0

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Counts a request while the context is open."""
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


async def _wait_for_response(
    future: Future[PredictResponse], request: Request, timeout: float
) -> PredictResponse:
    """Waits for the worker's response.

    Raises:
        ApiError: If it takes longer than `timeout` seconds, or the worker refused the image.
        ClientDisconnect: If the client closes the connection meanwhile.
    """
    response = asyncio.wrap_future(future)
    disconnect = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait(
            {response, disconnect}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if response.done():
            return response.result()
        if disconnect.done():
            raise ClientDisconnect
        raise make_busy_error(f"no result after {timeout:g} seconds")
    finally:
        response.cancel()  # the worker then skips the job if it has not begun it
        disconnect.cancel()


def _make_static_handler(file: pages.StaticFile):
    async def send() -> Response:
        return Response(file.content, headers={"Content-Type": file.content_type})

    return send


def _add_error_handlers(app: FastAPI) -> None:
    """Makes every error an `ErrorResponse`."""

    async def handle_api_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return JSONResponse(error.body, error.status, error.headers)

    async def handle_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = ApiError(
            error.status_code,
            "no_such_address",
            expected="a method and path that /api lists",
            found=f"{request.method} {request.scope['path'][:80]}",
            fix="correct the method or the path",
        ).body
        return JSONResponse(body, error.status_code, error.headers)

    async def handle_validation_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        refused = {str(one["loc"][-1]): str(one["input"])[:80] for one in error.errors()}
        names = " and ".join(refused)
        body = ApiError(
            422,
            "malformed",
            expected=f"true or false as the query parameter {names}",
            found=", ".join(f"{name}={text}" for name, text in refused.items()),
            fix=f"write {'&'.join(f'{name}=true' for name in refused)}, or leave out {names}",
        ).body
        return JSONResponse(body, 422)

    async def handle_disconnect(_: Request, error: Exception) -> Response:
        return Response(status_code=_CLIENT_CLOSED_REQUEST)

    async def handle_bug(_: Request, error: Exception) -> Response:
        body = ApiError(
            500,
            "bug",
            expected="a request without an internal error",
            found=f"{type(error).__name__} in faceemo",
            fix="report it as a bug, with the traceback on the server's terminal",
        ).body
        return JSONResponse(body, 500)

    app.add_exception_handler(ApiError, handle_api_error)
    app.add_exception_handler(HTTPException, handle_http_error)
    app.add_exception_handler(RequestValidationError, handle_validation_error)
    app.add_exception_handler(ClientDisconnect, handle_disconnect)
    app.add_exception_handler(Exception, handle_bug)
