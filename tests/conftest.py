"""Every test runs on two CPU devices, with silent rank promotion an error.

The persistent compile cache and drawn images are shared by all processes of a test run. Assets may
come from a server on this machine and go into a cache of the test's own.
"""

import atexit
import collections
import gc
import os
import shutil
import tempfile

from tests.support.places import SHARED
from tests.support.xla import COMPILE_QUICKLY

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=2",
        COMPILE_QUICKLY,
    ]
)
os.environ["FACEEMO_ENGINE"] = "jax"  # but for its own tests; ONNX files would first be made
# But for their own tests: the first would start a probe, the second a compiler.
os.environ["FACEEMO_ONEDNN"] = "0"
os.environ["FACEEMO_EXTENSION"] = "0"
os.environ["FACEEMO_STORED_STEPS"] = "0"  # but for their own tests; others replace parts of a step
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
# Each worker of xdist has a core: a second thread of NumPy's and SciPy's library only waits for it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# OpenCV reads it when it first opens a film, which may be in a test that does so by itself.
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
if SHARED not in os.environ:  # the workers of xdist have it from the first process
    os.environ[SHARED] = tempfile.mkdtemp(prefix="faceemo-tests-")
    atexit.register(shutil.rmtree, os.environ[SHARED], ignore_errors=True)
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{os.environ[SHARED]}/compiled"
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import hypothesis
import jax
import pytest

from tests.support import forked, served

pytest_plugins = [
    "tests.support.analysis.plain_figures",
    "tests.support.analysis.predictions",
    "tests.support.analysis.report_page",
    "tests.support.models.extension",
    "tests.support.models.small_head",
]

# Python's cycle collector walks the many objects of JAX and TensorFlow each time: collect rarely.
gc.set_threshold(100_000, 50, 100)
jax.config.update("jax_numpy_rank_promotion", "raise")
# How long an example takes says more about the machine than about what it tries.
hypothesis.settings.register_profile("faceemo", deadline=None)
hypothesis.settings.load_profile("faceemo")


def pytest_collection_modifyitems(items):
    """Puts the files that take longest first, so that no long file starts last."""
    seconds = collections.Counter()
    for item in items:
        if slow := item.get_closest_marker("slow"):
            seconds[item.path] += slow.kwargs.get("seconds", 4)
    items.sort(key=lambda item: -seconds[item.path])


def pytest_collection_finish(session):
    """Starts no TensorFlow for Keras's programs if the tests that run them are left out.

    The objects of imported modules stay: Python's and Keras's collections of cycles skip them.
    """
    gc.freeze()
    if not any(item.get_closest_marker("slow") for item in session.items):
        forked.leave_out_tensorflow()


@pytest.fixture
def server():
    """Fails as the paths asked of it say."""
    with served.run_server() as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty one: not even the folder is there."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FACEEMO_CACHE", str(folder))
    return folder
