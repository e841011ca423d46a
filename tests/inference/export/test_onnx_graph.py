"""The graph is rewritten for the quantiser without a change of what it computes."""

import numpy as np
import pytest

from faceemo.inference.export import onnx_precision

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def make_model():
    """Makes relu6, relu, and two dense layers as jax2onnx writes them: the bias is added apart."""
    rng = np.random.default_rng(0)
    constants = {
        **{"zero": np.float32(0), "six": np.float32(6), "none": np.zeros((), np.float32)},
        **{"kernel": rng.normal(size=(5, 4)), "bias": rng.normal(size=(1, 4))},
        **{"kernel2": rng.normal(size=(4, 3)), "bias2": rng.normal(size=(1, 3))},
    }
    node = onnx.helper.make_node
    nodes = [
        node("Max", ["faces", "zero"], ["low"], "max"),
        node("Min", ["low", "six"], ["relu6"], "min"),
        node("Gemm", ["relu6", "kernel", "none"], ["product"], "dense"),
        node("Add", ["product", "bias"], ["sum"], "add"),
        node("Max", ["sum", "zero"], ["relu"], "max2"),
        node("Gemm", ["relu", "kernel2", "none"], ["product2"], "dense2"),
        node("Add", ["product2", "bias2"], ["y"], "add2"),
    ]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size])
        for name, size in (("faces", 5), ("y", 3))
    ]
    initializers = [
        onnx.numpy_helper.from_array(np.asarray(array, np.float32), name)
        for name, array in constants.items()
    ]
    graph = onnx.helper.make_graph(nodes, "test", values[:1], values[1:], initializers)
    sets = [onnx.helper.make_opsetid("", 21)]
    return onnx.helper.make_model(graph, opset_imports=sets, ir_version=10)


def run(model, inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"faces": inputs})[0]


def test_activations_are_named_and_biases_joined():
    model = make_model()
    inputs = np.random.default_rng(1).normal(scale=8, size=(20, 5)).astype(np.float32)
    expected = run(model, inputs)
    onnx_precision._name_activations(model, onnx)
    onnx_precision._join_biases(model, onnx)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Clip", "Gemm", "Relu", "Gemm"]
    np.testing.assert_allclose(run(model, inputs), expected, rtol=1e-5, atol=1e-5)


def test_a_maximum_that_something_else_needs_stays():
    model = make_model()
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("low", onnx.TensorProto.FLOAT, ["N", 5])
    )
    onnx_precision._name_activations(model, onnx)
    onnx.checker.check_model(model)
    types = [node.op_type for node in model.graph.node]
    assert types[:2] == ["Relu", "Min"]


def test_dense_layers_are_quantised_except_for_the_last(tmp_path):
    model, path = make_model(), tmp_path / "model.onnx"
    inputs = np.random.default_rng(1).uniform(-2, 8, size=(64, 5)).astype(np.float32)
    onnx.save(model, path)
    onnx_precision.quantise(path, inputs)
    found = onnx.load(path)
    makers = {output: node.op_type for node in found.graph.node for output in node.output}
    dense = [node for node in found.graph.node if node.op_type == "Gemm"]
    assert [makers.get(one.input[1]) for one in dense] == ["DequantizeLinear", None]
    assert {one.domain for one in found.opset_import} == {""}
    expected = run(model, inputs)
    assert 0 < np.abs(run(found, inputs) - expected).max() < 0.05 * np.ptp(expected)
