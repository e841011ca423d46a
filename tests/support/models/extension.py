"""The extension, built once for all processes of a test run."""

import os
from pathlib import Path

import pytest

from faceemo.models.layers.extension import build, calls
from tests.support.places import SHARED


@pytest.fixture(scope="session")
def extension_library():
    """The library as its own code builds and probes it; skips where there is no compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEEMO_CACHE", str(Path(os.environ[SHARED]) / "extension_cache"))
        patch.setenv(build.SWITCH, "1")
        if build.find_compiler() is None:
            pytest.skip("there is no C++ compiler, with which the extension is built")
        found = build.find_library()
    assert found.library is not None, found.reason
    return found.library


@pytest.fixture
def extension(extension_library):
    """Turns the extension on while a test runs."""
    calls.use(extension_library)
    yield extension_library
    calls.use(None)


@pytest.fixture(params=["XLA", "extension"])
def either_library(request):
    """Runs a test twice: without the extension and with it."""
    if request.param == "extension":
        request.getfixturevalue("extension")
    return request.param
