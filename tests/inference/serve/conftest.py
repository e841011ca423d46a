"""The demo in Chromium: a tab, the address of a server, and files to choose."""

import io

import numpy as np
import pytest
from PIL import Image

from faceemo.inference.serve.limits import Limits
from tests.support import chromium
from tests.support.inference import films
from tests.support.inference.asking import open_api, photo_png, wall_png
from tests.support.inference.serving import serve_app

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="session")
def tab(tmp_path_factory):
    with chromium.open_page(tmp_path_factory.mktemp("chromium"), *CAMERA) as page:
        yield page


@pytest.fixture(scope="session")
def page_api(predictor):
    with open_api(predictor, Limits(max_bytes=2**20)) as api:
        yield api


@pytest.fixture(scope="session")
def address(page_api):
    with serve_app(page_api.app) as url:
        yield url


@pytest.fixture
def page(tab, address):
    """Loads the demo; checks afterwards that it contacted no other site and logged no error."""
    tab.requests.clear()
    tab.console_errors.clear()
    tab.open(address)
    yield tab
    other_sites = [a for a in tab.requests if not a.startswith((address, "data:", "blob:"))]
    assert other_sites == []
    assert [one for one in tab.console_errors if "Failed to load resource" not in one] == []


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder of photographs of two faces, one without a face, a film, and files to refuse."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "photo.png").write_bytes(photo_png())
    (folder / "wall.png").write_bytes(wall_png())
    (folder / "notes.jpg").write_text("no image")
    (folder / "large.png").write_bytes(bytes(2**20 + 1))
    photo = Image.open(io.BytesIO(photo_png())).convert("RGB")
    photo.save(folder / "telephone.heic", "HEIF", quality=95)
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    turned.save(folder / "turned.jpg", quality=95, xmp=xmp)
    wide = Image.fromarray(np.full((900, 2400), 128, np.uint8))
    wide.paste(photo, (900, 300))
    wide.save(folder / "wide.jpg")
    films.write(folder / "film.mp4", frames=8)
    return folder
