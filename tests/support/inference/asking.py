"""A client for the server's app in the same process, and images to send to it."""

import asyncio
import contextlib
import io

import httpx
import numpy as np
from PIL import Image

from faceemo.inference.serve.app import make_app
from faceemo.inference.serve.films.films import Films
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.worker import Worker
from tests.support.data.faces import face, png

URL = "http://127.0.0.1:8000"


class Api:
    """The app and its worker; `request`, `get` and `predict` return an httpx.Response."""

    def __init__(self, predictor, limits=None, **options):
        self.limits = limits or Limits()
        self.worker = Worker(predictor, self.limits)
        self.films = Films(predictor, self.limits)
        self.app = make_app(predictor, self.limits, worker=self.worker, films=self.films, **options)

    def make_client(self):
        """Makes an asynchronous client, for several requests at a time."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=URL, timeout=60)

    def request(self, method, path, **options):
        async def send():
            async with self.make_client() as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def predict(self, content, query="", **options):
        files = make_form(content)
        return self.request("POST", f"/api/predict{query}", files=files, **options)


@contextlib.contextmanager
def open_api(predictor, limits=None, **options):
    """Yields an `Api` and stops its worker afterwards."""
    api = Api(predictor, limits, **options)
    try:
        yield api
    finally:
        api.films.close()
        api.worker.close()


def make_form(content, name="face.png"):
    """Makes the `files` argument of httpx for an upload."""
    return {"file": (name, content)}


def crop_png(seed):
    """Encodes a face of 48 pixels, the size of training images, as PNG."""
    return png(Image.fromarray(face(seed)))


def photo_png():
    """Encodes an image of 600x300 pixels with two faces as PNG."""
    pixels = np.full((300, 600), 128, np.uint8)
    pixels[60:220, 40:200], pixels[80:230, 380:530] = face(0, 160), face(1, 150)
    return png(Image.fromarray(pixels))


def wall_png():
    """Encodes an image without a face as PNG."""
    return png(Image.fromarray(np.full((90, 120), 50, np.uint8)))


def decode_pixels(content):
    """Decodes an image file to an array."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)
