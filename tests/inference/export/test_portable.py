"""No exported program calls oneDNN or the extension, which other machines lack.

ONNX files are not made from programs; tests/inference/test_engine.py looks at their operators.
"""

import types
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.config import ImageFormat
from faceemo.inference.export import stablehlo
from faceemo.models.layers import convolution, matmul, onednn, onednn_choice
from faceemo.models.layers.extension import calls

EXTENSION = "faceemo_0123"
CALLS = ("__onednn$convolution", "__onednn$matmul", f"{EXTENSION}_depthwise", f"{EXTENSION}_images")
TRAINED = types.SimpleNamespace(image_format=ImageFormat(12))
KERNEL, DEPTHWISE, OF_IMAGES = (
    np.ones((3, 3, *channels), np.float32) for channels in ((1, 4), (4, 1), (3, 4))
)


def classify(images):
    inputs = images[..., None].astype(jnp.float32)
    features = convolution.convolve(inputs, KERNEL, (1, 1), "SAME")
    features = convolution.convolve_depthwise(features, DEPTHWISE, (1, 1))
    features += convolution.convolve(jnp.repeat(inputs, 3, -1), OF_IMAGES, (1, 1), "SAME")
    features = features.mean((1, 2))
    return matmul.matmul(features, np.eye(4, dtype=np.float32))


@pytest.fixture(autouse=True)
def turned_on(monkeypatch):
    """As in a process that trains; the network has two small layers, and is never run."""
    monkeypatch.setattr(onednn, "_dtypes", frozenset({"float32"}))
    monkeypatch.setattr(calls, "_in_use", EXTENSION)
    gains = onednn_choice._Gains(0, 0, dict.fromkeys(((1, 0), (1, 1), (0, 0)), 0))
    monkeypatch.setattr(onednn_choice, "_TABLE", dict.fromkeys(onednn_choice._TABLE, gains))
    monkeypatch.setattr(stablehlo, "make_probabilities", lambda trained: classify)
    plain = jax.jit(lambda images: classify(images)).lower(np.zeros((2, 12, 12), np.uint8))
    assert all(call in plain.as_text() for call in CALLS)


def test_stablehlo_has_no_such_call(tmp_path):
    stablehlo.write(TRAINED, tmp_path / "a")
    exported = jax.export.deserialize(bytearray((tmp_path / "a").read_bytes()))
    assert "stablehlo.convolution" in exported.mlir_module()
    assert "stablehlo.dot_general" in exported.mlir_module()
    assert "onednn" not in exported.mlir_module()
    assert EXTENSION not in exported.mlir_module()


def test_stablehlo_names_no_source_file_of_this_machine(tmp_path):
    stablehlo.write(TRAINED, tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    assert str(Path(__file__).parent).encode() not in content
    assert str(Path(convolution.__file__).parent).encode() not in content
