"""Handlers that make every error of the app an `ErrorResponse`."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from faceemo.inference.serve.errors import ApiError

_CLIENT_CLOSED_REQUEST = 499  # a convention; nobody receives it


def add_error_handlers(app: FastAPI) -> None:
    """Adds the handlers to an app."""
    app.add_exception_handler(ApiError, _handle_api_error)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(ClientDisconnect, _handle_disconnect)
    app.add_exception_handler(Exception, _handle_bug)


async def _handle_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, error.status, error.headers)


async def _handle_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = ApiError(
        error.status_code,
        "no_such_address",
        expected="a method and path that /api lists",
        found=f"{request.method} {request.scope['path'][:80]}",
        fix="correct the method or the path",
    ).body
    return JSONResponse(body, error.status_code, error.headers)


async def _handle_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    refused = {str(one["loc"][-1]): str(one["input"])[:80] for one in error.errors()}
    names = " and ".join(refused)
    found = ", ".join(f"{name}={text}" for name, text in refused.items())
    if all(one["type"].startswith("bool") for one in error.errors()):
        expected = f"true or false as the query parameter {names}"
        fix = f"write {'&'.join(f'{name}=true' for name in refused)}, or leave out {names}"
    else:
        expected = f"a whole number from 0 to 1000 as the query parameter {names}"
        fix = f"correct it, or leave out {names}"
    body = ApiError(422, "malformed", expected=expected, found=found, fix=fix).body
    return JSONResponse(body, 422)


async def _handle_disconnect(_: Request, error: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


async def _handle_bug(_: Request, error: Exception) -> Response:
    body = ApiError(
        500,
        "bug",
        expected="a request without an internal error",
        found="an error inside faceemo",
        fix="report it as a bug, with what the server printed on its terminal",
    ).body
    return JSONResponse(body, 500)
