"""Weights in two bytes: how far they are from the weights, and that they compress."""

import gzip

import numpy as np
import pytest

from faceemo.inference.export.web import two_bytes

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

STEPS = 4000


def make_model(kind, weights, **attributes):
    """A graph of one node with these weights."""
    ndim = {"Conv": 4, "MatMul": 2, "Gemm": 2}[kind]
    value = onnx.helper.make_tensor_value_info
    number = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, ["x", "w"], ["y"], **attributes)],
        "one",
        [value("x", number, [None] * ndim)],
        [value("y", number, [None] * ndim)],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def read_weights(model, kind, weights):
    """The weights that onnxruntime computes with, which a product with the identity shows."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    if kind == "Conv":  # one position at a time, one channel at a time
        channels, kernel = weights.shape[1], weights.shape[2:]
        eye = np.eye(channels * np.prod(kernel), dtype=np.float32).reshape(-1, channels, *kernel)
        return session.run(None, {"x": eye})[0].reshape(len(eye), -1).T.reshape(weights.shape)
    return session.run(None, {"x": np.eye(len(weights), dtype=np.float32)})[0]


@pytest.mark.parametrize(("kind", "axis"), [("Conv", 0), ("MatMul", 1), ("Gemm", 1)])
def test_a_weight_is_off_by_half_a_step_of_its_channel_at_most(kind, axis):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(24, 8, 3, 3) if kind == "Conv" else (40, 24)).astype(np.float32)
    # channels of very different sizes, one of zeros, one with a weight that two bytes cannot hold
    sizes = np.geomspace(1e-3, 1e3, 24).reshape((-1, 1, 1, 1) if kind == "Conv" else (1, -1))
    weights = (weights * sizes).astype(np.float32)
    channels = np.moveaxis(weights, axis, 0)
    channels[3] = 0
    channels[5].flat[0] = 1e6
    model = make_model(kind, weights)
    two_bytes.pack(model, STEPS)
    onnx.checker.check_model(model)
    found = np.moveaxis(read_weights(model, kind, weights), axis, 0)
    for one, other in zip(channels, found, strict=True):
        wide = one.astype(float)
        step = max(np.sqrt((wide**2).mean()) / STEPS, np.abs(wide).max() / 32767)
        assert np.abs(one - other).max() <= 0.5001 * step


def test_turned_weights_are_packed_by_their_rows():
    weights = np.random.default_rng(1).normal(size=(20, 50)).astype(np.float32)
    weights *= np.geomspace(1e-3, 1e3, 20, dtype=np.float32)[:, None]
    model = make_model("Gemm", weights, transB=1)
    two_bytes.pack(model, STEPS)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(None, {"x": np.eye(50, dtype=np.float32)})[0].T
    wide = weights.astype(float)
    steps = np.maximum(
        np.sqrt((wide**2).mean(1, keepdims=True)) / STEPS,
        np.abs(wide).max(1, keepdims=True) / 32767,
    )
    assert (np.abs(found - weights) <= 0.5001 * steps).all()


def test_packed_weights_compress_to_their_entropy():
    """Checks the size of normal weights: log2(steps * sqrt(2 pi e)) bits each."""
    weights = np.random.default_rng(2).normal(size=(256, 128, 3, 3)).astype(np.float32)
    model = make_model("Conv", weights)
    whole = len(two_bytes.compress(model.SerializeToString()))
    two_bytes.pack(model, 512)
    content = model.SerializeToString()
    packed = len(two_bytes.compress(content))
    assert gzip.decompress(two_bytes.compress(content)) == content
    bits = np.log2(512 * np.sqrt(2 * np.pi * np.e))
    assert packed < 1.03 * bits / 8 * weights.size + 4000
    assert packed < 0.5 * whole


def test_small_arrays_and_biases_stay():
    weights = np.random.default_rng(3).normal(size=(4, 4)).astype(np.float32)
    model = make_model("MatMul", weights)
    before = model.SerializeToString()
    two_bytes.pack(model, STEPS)
    assert model.SerializeToString() == before
