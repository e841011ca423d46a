"""What runs the detector: onnxruntime where it is installed and works, otherwise OpenCV."""

import logging
import sys

import numpy as np
import pytest

from faceemo.data.measure.network import OpenCvNetwork
from faceemo.errors import UserError
from faceemo.inference.detector import choose as choosing
from faceemo.inference.detector import onnx_network
from faceemo.inference.predictor import Predictor
from tests.support.data.faces import face


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Forgets the shared network and the warnings, before and after."""
    monkeypatch.delenv("FACEEMO_ENGINE", raising=False)
    for cached in (onnx_network.share_network, choosing._warn):
        cached.cache_clear()
    yield
    for cached in (onnx_network.share_network, choosing._warn):
        cached.cache_clear()


@pytest.fixture
def without(monkeypatch):
    """Makes onnxruntime a package that is not installed."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(choosing, "is_installed", lambda: False)


def test_onnxruntime_is_taken_where_it_is_installed():
    pytest.importorskip("onnxruntime")
    for engine in ("auto", "onnx"):
        assert isinstance(choosing.choose(engine)(), onnx_network.OnnxNetwork)
    assert isinstance(choosing.choose("jax")(), OpenCvNetwork)


def test_the_environment_decides_what_auto_is(monkeypatch):
    monkeypatch.setenv("FACEEMO_ENGINE", "jax")
    assert isinstance(choosing.choose("auto")(), OpenCvNetwork)


def test_opencv_is_taken_where_onnxruntime_is_not_installed(without, caplog):
    with caplog.at_level(logging.WARNING):
        assert isinstance(choosing.choose("auto")(), OpenCvNetwork)
    assert not caplog.records
    with pytest.raises(UserError, match="onnxruntime"):
        choosing.choose("onnx")


def test_a_failure_of_onnxruntime_is_a_warning_once(monkeypatch, caplog):
    def fail(content):
        raise RuntimeError("no such instruction\nat address 0")

    monkeypatch.setattr(onnx_network, "open_session", fail)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert isinstance(choosing.choose("auto")(), OpenCvNetwork)
    assert [one.getMessage() for one in caplog.records] == [
        "faces are searched for with OpenCV, not with onnxruntime: RuntimeError: no such "
        "instruction"
    ]
    with pytest.raises(RuntimeError):
        choosing.choose("onnx")


def test_predictions_are_the_same_without_onnxruntime(predictor, monkeypatch):
    pytest.importorskip("onnxruntime")
    photo = np.full((300, 600), 128, np.uint8)
    photo[60:220, 40:200], photo[80:230, 380:530] = face(0, 160), face(1, 150)
    expected = Predictor(predictor.network).predict([photo, face(2)])
    monkeypatch.setattr(choosing, "is_installed", lambda: False)
    monkeypatch.setattr(onnx_network, "open_session", None)
    onnx_network.share_network.cache_clear()
    found = Predictor(predictor.network).predict([photo, face(2)])
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert (one.status, one.label, one.reason) == (other.status, other.label, other.reason)
        np.testing.assert_allclose(np.array(one.box), np.array(other.box), atol=0.02)
