"""The detector's ONNX graph returns what OpenCV's own layers do."""

import cv2
import numpy as np
import pytest

from faceemo.data.measure.face_detector import load_network_files
from faceemo.data.measure.network import MEAN
from faceemo.inference.detector import caffe_text, res10_graph
from tests.support.data.faces import face

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def graph():
    return res10_graph.make_graph()


@pytest.fixture(scope="module")
def session(graph):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph[0], options)


@pytest.mark.parametrize("size", [(300, 300), (160, 96), (52, 52)])
def test_the_graph_equals_opencvs_layers(graph, session, size):
    width, height = size
    picture = np.full((height, width, 3), (90, 120, 150), np.uint8)
    side = min(size) - 8
    picture[4 : 4 + side, 4 : 4 + side] = face(1, side)[..., None]
    found = dict(
        zip(
            [one.name for one in session.get_outputs()],
            session.run(None, {"image": picture[None]}),
            strict=True,
        )
    )
    network = cv2.dnn.readNetFromCaffe(*load_network_files())
    network.setInput(cv2.dnn.blobFromImage(picture, 1.0, size, MEAN))
    locations, confidences, priors = (
        np.asarray(one)
        for one in network.forward(["mbox_loc", "mbox_conf_softmax", "mbox_priorbox"])
    )
    maps = graph[1]["maps"]
    ours = np.concatenate([found[f"locations_{n}"].ravel() for n in range(len(maps))])
    np.testing.assert_allclose(ours, locations.ravel(), atol=2e-4)
    raw = np.concatenate([found[f"confidences_{n}"].reshape(-1, 2) for n in range(len(maps))])
    shares = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    np.testing.assert_allclose(shares, confidences.reshape(-1, 2), atol=1e-5)
    boxes = np.concatenate(
        [place(maps[n], found[f"locations_{n}"].shape[1:3], size) for n in range(len(maps))]
    )
    np.testing.assert_allclose(boxes, priors[0, 0].reshape(-1, 4), atol=1e-5)


def place(one, shape, size):
    """The default boxes of a map of `shape` (rows, columns), shares of an image of `size`."""
    sides = np.array(one["sizes"], float)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centres = (np.stack([columns, rows], -1) + one["offset"]) * one["step"]
    corners = centres[:, :, None, None] + np.array([-0.5, 0.5])[:, None] * sides[:, None]
    return (corners / size).reshape(-1, 4)


def test_the_limits_are_those_of_the_description(graph):
    rest = {key: value for key, value in graph[1].items() if key != "maps"}
    assert rest == {"at_least": 0.01, "nms_iou": 0.45, "before_nms": 400, "after_nms": 200}
    assert [one["step"] for one in graph[1]["maps"]] == [8, 16, 32, 64, 60, 60]


def test_a_description_is_parsed():
    text = """
    name: "two words"  # a remark
    layer { top: "a" top: "b" flag: true
      param { size: 3 rate: 0.5 kind: CENTER_SIZE } }
    layer { top: "c" }
    """
    found = caffe_text.parse(text)
    assert found["name"] == ["two words"]
    assert found["layer"] == [
        {
            "top": ["a", "b"],
            "flag": [True],
            "param": [{"size": [3], "rate": [0.5], "kind": ["CENTER_SIZE"]}],
        },
        {"top": ["c"]},
    ]
    assert caffe_text.read_one(found["layer"][1], "top") == "c"
    assert caffe_text.read_one(found["layer"][1], "flag", False) is False
    with pytest.raises(ValueError, match="one top"):
        caffe_text.read_one(found["layer"][0], "top")
    with pytest.raises(ValueError, match="inside a message"):
        caffe_text.parse("layer { top: 1")
