"""A writer of CLU's kind for TensorBoard's event files that needs no TensorFlow.

It writes what `clu.metric_writers.SummaryWriter` writes, in tensorboard's own records.
"""

import itertools
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.image.metadata import create_summary_metadata as describe_image
from tensorboard.plugins.scalar.metadata import create_summary_metadata as describe_scalar
from tensorboard.summary.writer.record_writer import RecordWriter

from faceemo.train.checkpoint.clu_modules import import_clu

_COUNTER = itertools.count()
_Summary = summary_pb2.Summary
_Tensor = tensor_pb2.TensorProto


class EventWriter(import_clu("metric_writers").MetricWriter):
    """Writes scalars, images and hyper-parameters into one new event file."""

    def __init__(self, folder: Path):
        """Creates the event file.

        Args:
            folder: Folder of the file, which exists.
        """
        name = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_COUNTER)}.v2"
        self._records = RecordWriter((folder / f"events.out.tfevents.{name}").open("xb"))
        self._write(event_pb2.Event(file_version="brain.Event:2"))

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Writes numbers.

        Args:
            step: Training step that they belong to.
            scalars: Numbers by tag; stored as float32.
        """
        metadata = describe_scalar(display_name=None, description=None)
        for tag, value in scalars.items():
            content = np.float32(value).tobytes()
            tensor = _Tensor(
                dtype=types_pb2.DT_FLOAT,
                tensor_shape=tensor_shape_pb2.TensorShapeProto(),
                tensor_content=content,
            )
            self._write_value(step, _Summary.Value(tag=tag, tensor=tensor, metadata=metadata))

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Writes pictures as PNG.

        Args:
            step: Training step that they belong to.
            images: Pictures by tag, uint8 [H, W, 3].
        """
        metadata = describe_image(display_name=None, description=None)
        for tag, image in images.items():
            height, width, _ = image.shape
            png = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()
            strings = [str(width).encode(), str(height).encode(), png]
            shape = tensor_shape_pb2.TensorShapeProto(
                dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=len(strings))]
            )
            tensor = _Tensor(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=strings)
            self._write_value(step, _Summary.Value(tag=tag, tensor=tensor, metadata=metadata))

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Writes hyper-parameters: bool, int, float or str by name."""
        self._write(event_pb2.Event(summary=hparams_pb(dict(hparams))))

    def flush(self) -> None:
        """Hands everything written to the operating system."""
        self._records.flush()

    def close(self) -> None:
        """Closes the file."""
        self._records.close()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("EventWriter writes scalars, images and hyper-parameters only")

    write_summaries = write_videos = write_audios = write_texts = write_histograms = _refuse

    def _write_value(self, step: int, value: summary_pb2.Summary.Value) -> None:
        self._write(event_pb2.Event(step=step, summary=_Summary(value=[value])))

    def _write(self, event: event_pb2.Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


def read_records(path: Path) -> Iterator[bytes]:
    """Reads the records of an event file, up to the first that is damaged or incomplete.

    Args:
        path: The file.

    Yields:
        Each record's content, a serialised `Event`.
    """
    with path.open("rb") as file:
        while len(header := file.read(12)) == 12:
            length, checksum = header[:8], struct.unpack("<I", header[8:])[0]
            if masked_crc32c(length) != checksum:
                return
            size = struct.unpack("<Q", length)[0]
            content, end = file.read(size), file.read(4)
            if len(end) < 4 or masked_crc32c(content) != struct.unpack("<I", end)[0]:
                return
            yield content
