"""Event files hold what CLU's own writer, which needs TensorFlow, writes; training needs none."""

import contextlib
import functools
import importlib
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event

from faceemo.train.checkpoint.clu_modules import import_clu
from faceemo.train.checkpoint.event_writer import EventWriter, read_records

# It imports TensorFlow.
pytestmark = pytest.mark.slow

PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
IMPORTS = """
import sys
from faceemo.train.checkpoint.clu_modules import import_clu
assert import_clu("metric_writers").MultiWriter and import_clu("periodic_actions").ReportProgress
import faceemo.data.builder, faceemo.train.checkpoint.event_writer, faceemo.train.loop
assert "tensorflow" not in sys.modules
# CLU's writer still works: it imports TensorFlow when it is made.
import_clu("metric_writers").SummaryWriter(sys.argv[1]).close()
assert "tensorflow.python" in sys.modules
"""


def write_all(writer):
    writer.write_hparams({"arch": "vgg16", "epochs": 3, "ema": 0.5, "exact": True})
    writer.write_scalars(4, {"train/loss": np.float32(1 / 3), "recall/sad": 0.1})
    writer.write_images(4, {"validation/picture": PICTURE})
    writer.write_scalars(8, {"train/loss": float("nan")})
    writer.close()


@functools.cache
def tensorflow():
    """Imports TensorFlow, which takes seconds in every process that only collects tests."""
    return importlib.import_module("tensorflow")


def list_records(path):
    """Returns the records of a file, by TensorFlow."""
    return [bytes(one.numpy()) for one in tensorflow().data.TFRecordDataset(str(path))]


def list_events(folder):
    (path,) = folder.glob("events.out.tfevents.*")
    return [Event.FromString(record) for record in list_records(path)]


def list_values(folder):
    """Returns step, tag, plugin, its content and value of everything in a file, by TensorFlow."""
    values = []
    for event in list_events(folder):
        for one in event.summary.value:
            content = one.metadata.plugin_data.content
            tf = tensorflow()
            value = tf.make_ndarray(
                type(tf.make_tensor_proto(0)).FromString(one.tensor.SerializeToString())
            )
            if one.metadata.plugin_data.plugin_name == "images":
                picture = cv2.imdecode(np.frombuffer(value[2], np.uint8), cv2.IMREAD_COLOR)
                value = [*value[:2].tolist(), picture[..., ::-1].tolist()]
            elif one.metadata.plugin_data.plugin_name == "hparams":
                content = content.partition(b"\x11")[0]  # what follows is the time
            values.append(
                (event.step, one.tag, one.metadata.plugin_data.plugin_name, content, str(value))
            )
    return values


def test_the_values_are_those_of_clus_writer(tmp_path):
    (ours := tmp_path / "ours").mkdir()
    write_all(EventWriter(ours))
    theirs = tmp_path / "theirs"
    write_all(import_clu("metric_writers").SummaryWriter(str(theirs)))
    assert len(list_values(ours)) == 5
    assert list_values(ours) == list_values(theirs)
    assert list_events(ours)[0].file_version == list_events(theirs)[0].file_version


def test_records_are_read_up_to_the_first_that_is_damaged(tmp_path):
    write_all(EventWriter(tmp_path))
    (path,) = tmp_path.iterdir()
    whole, records = path.read_bytes(), list(read_records(path))
    assert records == list_records(path)
    starts = np.cumsum([0, *(len(record) + 16 for record in records)])
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert list(read_records(path)) == records[: np.searchsorted(starts, size, "right") - 1]
    for place, kept in ((starts[2] + 1, 2), (starts[3] + 14, 3), (starts[3] - 1, 2)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert list(read_records(path)) == records[:kept]
    path.write_bytes(whole + struct.pack("<Q", 2**62) + whole[8:12])
    assert list(read_records(path)) == records


def test_two_writers_of_one_second_have_files_of_their_own(tmp_path):
    for _ in range(3):
        EventWriter(tmp_path).close()
    assert len(list(tmp_path.iterdir())) == 3


def test_what_it_cannot_write_is_refused(tmp_path):
    with (
        contextlib.closing(EventWriter(tmp_path)) as writer,
        pytest.raises(NotImplementedError, match="scalars, images and hyper-parameters only"),
    ):
        writer.write_texts(1, {"a": "b"})


def test_training_imports_no_tensorflow(tmp_path):
    subprocess.run([sys.executable, "-c", IMPORTS, tmp_path], check=True, timeout=300)
