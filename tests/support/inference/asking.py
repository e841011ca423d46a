"""The server's app, asked in this process; and the pictures that it is asked about."""

import asyncio
import contextlib
import io

import httpx
import numpy as np
from PIL import Image

from faceemo.inference.serve.app import make_app
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.worker import Worker
from tests.support.data.faces import face, png

ADDRESS = "http://127.0.0.1:8000"


class Asker:
    """Asks an app, several times at once if wanted; every answer is an httpx.Response."""

    def __init__(self, predictor, limits=None, **options):
        self.limits = limits or Limits()
        self.worker = Worker(predictor, self.limits)
        self.app = make_app(predictor, self.limits, worker=self.worker, **options)

    def client(self):
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=ADDRESS, timeout=60)

    def ask(self, method, path, **options):
        async def one():
            async with self.client() as client:
                return await client.request(method, path, **options)

        return asyncio.run(one())

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def predict(self, content, query="", **options):
        return self.ask("POST", f"/api/predict{query}", files=form(content), **options)


@contextlib.contextmanager
def asking(predictor, limits=None, **options):
    """An `Asker` whose thread ends with it."""
    asker = Asker(predictor, limits, **options)
    try:
        yield asker
    finally:
        asker.worker.close()


def form(content, name="face.png"):
    return {"file": (name, content)}


def crop(seed):
    """A face as training has them, of 48 pixels, as PNG."""
    return png(Image.fromarray(face(seed)))


def photo():
    """Two faces in a picture, as PNG."""
    pixels = np.full((300, 600), 128, np.uint8)
    pixels[60:220, 40:200], pixels[80:230, 380:530] = face(0, 160), face(1, 150)
    return png(Image.fromarray(pixels))


def wall():
    """A picture without a face, as PNG."""
    return png(Image.fromarray(np.full((90, 120), 50, np.uint8)))


def read(content):
    """The pixels of a file."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)
