"""No exported program calls oneDNN, which only this machine's jaxlib has.

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
from faceemo.models.layers import convolution, onednn

CALL = "__onednn$convolution"
TRAINED = types.SimpleNamespace(image_format=ImageFormat(12))
KERNEL = np.ones((3, 3, 1, 4), np.float32)


def convolve(images):
    inputs = images[..., None].astype(jnp.float32)
    return convolution.convolve(inputs, KERNEL, (1, 1), "SAME").mean((1, 2))


@pytest.fixture(autouse=True)
def turned_on(monkeypatch):
    """As in a process that trains; the network is a single convolution, and is never run."""
    monkeypatch.setattr(onednn, "_dtypes", frozenset({"float32"}))
    monkeypatch.setattr(onednn, "_MIN_PRODUCTS", 0)
    monkeypatch.setattr(stablehlo, "make_probabilities", lambda trained: convolve)
    plain = jax.jit(lambda images: convolve(images)).lower(np.zeros((2, 12, 12), np.uint8))
    assert CALL in plain.as_text()


def test_stablehlo_has_no_such_call(tmp_path):
    stablehlo.write(TRAINED, tmp_path / "a")
    exported = jax.export.deserialize(bytearray((tmp_path / "a").read_bytes()))
    assert "stablehlo.convolution" in exported.mlir_module()
    assert CALL not in exported.mlir_module()


def test_stablehlo_names_no_source_file_of_this_machine(tmp_path):
    stablehlo.write(TRAINED, tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    assert str(Path(__file__).parent).encode() not in content
    assert str(Path(convolution.__file__).parent).encode() not in content
