"""The demo and the API as an ASGI app."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response

import faceemo
from faceemo.errors import suggestion
from faceemo.inference.predictor import Predictor
from faceemo.inference.serve import openapi, pages, preview, upload
from faceemo.inference.serve.active import ActiveRequests
from faceemo.inference.serve.errors import ApiError, make_busy_error
from faceemo.inference.serve.films import routes as film_routes
from faceemo.inference.serve.films.films import Films
from faceemo.inference.serve.handlers import add_error_handlers
from faceemo.inference.serve.heatmaps import MAX_HEATMAPS
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.middleware import LOOPBACK_HOSTS, SecurityMiddleware
from faceemo.inference.serve.model_info import make_model_info
from faceemo.inference.serve.regions import parse_region
from faceemo.inference.serve.schemas import (
    Health,
    ImageResult,
    ModelInfo,
    PredictListResponse,
    PredictResponse,
)
from faceemo.inference.serve.waiting import wait_for_all
from faceemo.inference.serve.worker import Wishes, Worker

# Images of one request that are queued at a time, so that those of others come in between.
_QUEUED_TOGETHER = 4
# Query parameters of /api/predict; `name` is that of an image that is the body.
_PARAMETERS = ("heat", "crops", "region", "thumbnails", "name")


class _App(FastAPI):
    """FastAPI whose description has whole examples."""

    def openapi(self) -> dict[str, Any]:
        """Returns the description of the API."""
        return openapi.complete_examples(super().openapi())


def make_app(
    predictor: Predictor,
    limits: Limits | None = None,
    *,
    allowed_hosts: Collection[str] = LOOPBACK_HOSTS,
    allow_ip_hosts: bool = False,
    summary: Mapping[str, Any] | None = None,
    source: str | None = None,
    worker: Worker | None = None,
    films: Films | None = None,
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
        films: The films to hold; new ones if None.
    """
    limits = limits or Limits()
    worker = worker or Worker(predictor, limits)
    films = films or Films(predictor, limits)
    info = make_model_info(
        predictor.network,
        limits,
        summary or {},
        source,
        predictor.finder.threshold,
        str(predictor.engine),
    )
    active = ActiveRequests(limits)
    decoding = asyncio.Semaphore(1)  # of previews, so that one large image is in memory at a time

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        films.close()
        worker.close()

    app = _App(
        title="faceemo",
        version=faceemo.__version__,
        description="Predicts the emotions of the faces in images and films.",
        docs_url=None,  # that page would load scripts from another site
        redoc_url=None,
        redirect_slashes=False,  # redirects would go to whatever host the request names
        lifespan=lifespan,
    )
    add_error_handlers(app)

    async def refuse_if_busy(request: Request) -> None:
        """Refuses a request if too many are in progress."""
        if max(active.count, worker.queue_size) >= limits.max_requests:
            await upload.drain(request)
            raise make_busy_error(f"{limits.max_requests} requests in progress")

    @app.post(
        "/api/predict",
        summary="Predict the emotion of every face in an image, or in several",
        responses=openapi.PREDICT_RESPONSES,
        openapi_extra=openapi.describe_images(several=True),
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
        region: Annotated[
            str,
            Query(
                description="The part of the image that is one face, such as the region of an "
                "earlier response: left, top, right, bottom, in pixels. No other is searched for."
            ),
        ] = "",
        thumbnails: Annotated[
            bool, Query(description="Whether the response holds a small picture of each face.")
        ] = False,
    ) -> PredictResponse | PredictListResponse:
        _refuse_unknown_parameters(request)
        box = parse_region(region) if region else None
        wishes = Wishes(crops=crops, region=box, heat=heat, thumbnails=thumbnails)
        await refuse_if_busy(request)
        with active.counted() as held:
            images = await upload.read_images(request, limits, held)
            start = time.monotonic()
            results: list[ImageResult] = []
            for first in range(0, len(images.files), _QUEUED_TOGETHER):
                files = images.files[first : first + _QUEUED_TOGETHER]
                futures = [worker.submit(file.content, wishes) for file in files]
                timeout = limits.response_timeout * len(files)
                await wait_for_all(futures, request, timeout)
                if not images.is_list:
                    return futures[0].result()
                for index, (file, future) in enumerate(zip(files, futures, strict=True), first):
                    results.append(ImageResult.from_outcome(index, file.name, future))
        seconds = round(time.monotonic() - start, 3)
        return PredictListResponse(images=results, seconds=seconds)

    @app.post(
        "/api/preview",
        summary="Make a small upright JPEG of an image that a browser cannot show",
        response_class=Response,
        responses=openapi.PREVIEW_RESPONSES,
        openapi_extra=openapi.describe_images(several=False),
    )
    async def make_preview(request: Request) -> Response:
        await refuse_if_busy(request)
        with active.counted() as held:
            images = await upload.read_images(request, limits, held)
            async with decoding:
                content = images.files[0].content
                jpeg = await asyncio.to_thread(preview.make_preview, content, limits)
        return Response(jpeg, media_type="image/jpeg")

    film_routes.add_routes(app, films, limits)

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
            expected=f"no query parameters but {', '.join(_PARAMETERS[:-1])} and {_PARAMETERS[-1]}",
            found=f"'{unknown[:80]}'{suggestion(unknown[:80], _PARAMETERS)}",
            fix="correct it, or leave it out",
        )


def _make_static_handler(file: pages.StaticFile):
    async def send() -> Response:
        return Response(file.content, headers={"Content-Type": file.content_type})

    return send
