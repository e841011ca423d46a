"""The API's requests about films."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from faceemo.inference.serve import openapi, upload
from faceemo.inference.serve.errors import ApiError
from faceemo.inference.serve.films import run
from faceemo.inference.serve.films.film import DONE, RESULTS, Film
from faceemo.inference.serve.films.films import Films
from faceemo.inference.serve.films.schemas import FilmState
from faceemo.inference.serve.limits import Limits

_COPIED_BYTES = 2**20  # at a time
_MAX_NAME = 255  # characters
_Id = Annotated[str, PathParameter(description="The id in the response to the film's request.")]
_Result = Annotated[str, PathParameter(description=f"One of {', '.join(RESULTS)}.")]


def add_routes(app: FastAPI, films: Films, limits: Limits) -> None:
    """Adds the requests about films to the app."""

    @app.post(
        "/api/films",
        status_code=202,
        summary="Send a film, to predict the emotions of its faces over time",
        responses=openapi.FILM_RESPONSES,
        openapi_extra=openapi.describe_film(),
    )
    async def send_film(
        request: Request,
        name: Annotated[str, Query(description="The name of a film that is the body.")] = "",
        every: Annotated[
            int,
            Query(
                ge=0,
                le=1000,
                description="The step between the frames that are predicted on; 0 takes about five "
                "frames a second.",
            ),
        ] = 0,
    ) -> FilmState:
        kind = upload.read_content_type(request)
        is_form = kind == upload.FORM
        if not is_form and not kind.startswith(("video/", "image/", "application/octet-stream")):
            await upload.drain(request)
            raise _make_malformed_error(f"the content type '{kind[:80]}'")
        if not limits.max_film_bytes:
            await upload.drain(request)
            raise ApiError(
                403,
                "no_films",
                expected="a photograph",
                found="a film, which this server takes none of",
                fix="start it with --max-film-mib above 0, or use `faceemo predict`",
            )
        with _kept_if_complete(films, films.add(name[:_MAX_NAME] or "film", every)) as film:
            overhead = limits.max_form_bytes(0) if is_form else 0
            body = upload.Body(request, limits.max_film_bytes + overhead, None)
            async with upload.receiving(request, body, limits.film_timeout):
                if is_form:
                    await _receive_form(request, body, film)
                else:
                    await _receive_body(body, film)
            await asyncio.to_thread(run.check, film)
            films.start(film)
        return film.describe()

    @app.get(
        "/api/films/{id}",
        summary="Report the state of a film, with its faces once it is done",
        responses=openapi.FILM_STATE_RESPONSES,
    )
    async def get_film(id: _Id) -> FilmState:
        return films.get(id).describe()

    @app.delete(
        "/api/films/{id}",
        status_code=204,
        summary="Cancel a film, and delete it and its results",
        responses=openapi.NO_FILM_RESPONSES,
    )
    async def delete_film(id: _Id) -> None:
        films.delete(films.get(id))

    @app.get(
        "/api/films/{id}/{result}",
        summary=f"Fetch a result of a film that is done: {', '.join(RESULTS)}",
        response_class=Response,
        responses=openapi.RESULT_RESPONSES,
    )
    async def get_result(id: _Id, result: _Result) -> Response:
        film = films.get(id)
        if result not in RESULTS:
            raise ApiError(
                404,
                "no_such_address",
                expected=f"one of {', '.join(RESULTS)}",
                found=f"'{result[:80]}'",
                fix="correct the name",
            )
        if film.status != DONE:
            raise ApiError(
                409,
                "not_done",
                expected="a film that is done",
                found=f"one that is {film.status}",
                fix="ask for its state until that is 'done'",
            )
        return FileResponse(film.get_result(result), headers={"Content-Type": RESULTS[result]})


@contextmanager
def _kept_if_complete(films: Films, film: Film) -> Iterator[Film]:
    """Deletes a film if it does not arrive."""
    try:
        yield film
    except BaseException:
        films.delete(film)
        raise


async def _receive_body(body: upload.Body, film: Film) -> None:
    with film.path.open("wb") as file:
        async for chunk in body.chunks():
            file.write(chunk)
    _refuse_empty(film.path)


async def _receive_form(request: Request, body: upload.Body, film: Film) -> None:
    """Receives a form with one film; larger ones are spooled to the disk as they arrive."""
    parser = MultiPartParser(
        request.headers, body.chunks(), max_files=1, max_fields=4, max_part_size=1024
    )
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeError, ValueError) as error:
        reason = getattr(error, "message", "a form that cannot be read")
        raise _make_malformed_error(reason.rstrip(".")) from None
    try:
        file = form.get(upload.FIELD)
        if not isinstance(file, UploadFile):
            raise _make_malformed_error(f"the fields {sorted(form)}" if form else "an empty form")
        film.name = (file.filename or film.name)[:_MAX_NAME]
        with film.path.open("wb") as copy:
            while chunk := await file.read(_COPIED_BYTES):
                await asyncio.to_thread(copy.write, chunk)
    finally:
        await form.close()
    _refuse_empty(film.path)


def _refuse_empty(path: Path) -> None:
    if not path.stat().st_size:
        raise _make_malformed_error("an empty film")


def _make_malformed_error(found: str) -> ApiError:
    return ApiError(
        400,
        "malformed",
        expected="a film as the body, with a content type such as video/mp4, or a form "
        f"({upload.FORM}) with one film in the field '{upload.FIELD}'",
        found=found,
        fix=f"send it as `curl -F {upload.FIELD}=@film.mp4` does",
    )
