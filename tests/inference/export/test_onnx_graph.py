"""ONNX files are what ONNX's own library reads and writes.

tests/inference/test_engine.py compares what they compute with the networks.
"""

import itertools

import numpy as np
import pytest
from jax import lax

from faceemo import models
from faceemo.inference.export import onnx_precision, onnx_proto
from faceemo.inference.export.onnx_backbones import BACKBONES
from faceemo.inference.export.onnx_graph import Graph, same_pads

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(model, **inputs):
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content).run(None, inputs)[0]


def parse(kind, message):
    return kind.FromString(b"".join(message))


@pytest.mark.parametrize("value", [0, 7, 127, 128, 3_000_000_000, 0.25, (0, 300), (1,)])
def test_attributes_are_as_onnx_writes_them(value):
    node = parse(
        onnx.NodeProto, onnx_proto.make_node("Pad", "a node", ["x", "y"], "z", value=value)
    )
    assert node == onnx.helper.make_node("Pad", ["x", "y"], ["z"], "a node", value=value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(200 * 3, dtype=np.float32).reshape(200, 3).T,  # not in the order of its axes
        np.array([2, 1, 0]),
        np.asarray(6, np.float32),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_arrays_are_as_onnx_reads_them(array):
    tensor = parse(onnx.TensorProto, onnx_proto.make_tensor("kernel", array))
    found = onnx.numpy_helper.to_array(tensor)
    assert (tensor.name, found.dtype, found.shape) == ("kernel", array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


def test_values_are_as_onnx_writes_them():
    expected = onnx.helper.make_tensor_value_info("faces", onnx.TensorProto.UINT8, ["N", 48, 300])
    found = parse(onnx.ValueInfoProto, onnx_proto.make_value("faces", 2, ("N", 48, 300)))
    assert found == expected


def test_padding_is_that_of_jax():
    for size, side, stride in itertools.product(range(1, 12), (1, 2, 3, 5, 7), (1, 2, 3)):
        expected = lax.padtype_to_pads((size, size + 4), (side, 3), (stride, stride), "SAME")
        assert list(same_pads((size, size + 4), (side, 3), stride)) == expected


def test_every_network_has_a_graph():
    assert set(BACKBONES) == set(models.NETWORKS)


def test_a_layer_that_the_graph_leaves_out_is_an_error(tmp_path):
    graph = Graph(("x", onnx_proto.FLOAT, (2,)), {"params": {"head": {"fc9": {}}}})
    with pytest.raises(ValueError, match="no layers fc9"):
        graph.write(tmp_path / "a.onnx", graph.source)
    assert list(tmp_path.iterdir()) == []


def test_dense_layers_are_quantised_except_for_the_last(tmp_path):
    rng = np.random.default_rng(0)
    heads = {
        name: {"kernel": rng.normal(size=sizes), "bias": rng.normal(size=sizes[1:])}
        for name, sizes in (("dense", (5, 4)), ("dense2", (4, 3)))
    }
    graph = Graph(("faces", onnx_proto.FLOAT, (5,)), {"params": {"head": heads}})
    hidden = graph.dense(graph.relu6(graph.source), "dense", (5,))
    path = tmp_path / "model.onnx"
    graph.write(path, graph.dense(graph.relu(hidden), "dense2", (4,)))
    inputs = np.random.default_rng(1).uniform(-2, 8, size=(64, 5)).astype(np.float32)
    first, second = heads.values()
    rows = np.maximum(np.clip(inputs, 0, 6) @ first["kernel"] + first["bias"], 0)
    expected = rows @ second["kernel"] + second["bias"]
    np.testing.assert_allclose(run(path.read_bytes(), faces=inputs), expected, atol=1e-4)
    onnx_precision.quantise(path, inputs)
    found = onnx.load(path)
    makers = {output: node.op_type for node in found.graph.node for output in node.output}
    dense = [node for node in found.graph.node if node.op_type == "Gemm"]
    assert [makers.get(one.input[1]) for one in dense] == ["DequantizeLinear", None]
    assert {one.domain for one in found.opset_import} == {""}
    assert 0 < np.abs(run(found, faces=inputs) - expected).max() < 0.05 * np.ptp(expected)
