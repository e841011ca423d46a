"""The page of the network that comes with faceemo, served, and a tab that shows it."""

from pathlib import Path

import pytest

import faceemo
from faceemo.assets import builtin, catalogue
from faceemo.errors import UserError
from faceemo.inference.export.export import export
from tests.support import chromium
from tests.support.inference.static_site import serve_folder

# No name leads anywhere but those of this machine, and the camera is the browser's test pattern.
OPTIONS = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="session")
def builtin_predictor():
    return faceemo.load(builtin.NAME)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the page."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    try:
        catalogue.fetch("onnxruntime-web")
    except UserError as error:
        pytest.skip(f"onnxruntime-web is neither in the cache nor can npm fetch it: {error}")
    folder = tmp_path_factory.mktemp("web") / "page"
    export(Path(builtin.NAME), "web", folder)
    return folder


@pytest.fixture(scope="session")
def served(site):
    """The page's address, and the paths that the server was asked for."""
    with serve_folder(site) as found:
        yield found


@pytest.fixture(scope="session")
def tab(tmp_path_factory):
    if chromium.PROGRAM is None:
        pytest.skip("there is no Chromium on this machine")
    with chromium.open_page(tmp_path_factory.mktemp("chromium"), *OPTIONS) as page:
        yield page


@pytest.fixture(scope="session")
def loaded(tab, served):
    """The tab with the page, whose network has started."""
    tab.open(served[0])
    tab.wait("document.getElementById('loading').hidden", 120)
    return tab


@pytest.fixture
def page(loaded, served):
    """The page without photographs; nothing but its own files may be asked for in a test."""
    loaded.requests.clear()
    loaded.console_errors.clear()
    loaded.evaluate("document.getElementById('clear').click()")
    yield loaded
    others = [one for one in loaded.requests if not one.startswith((served[0], "data:", "blob:"))]
    assert others == []
    assert loaded.console_errors == []
