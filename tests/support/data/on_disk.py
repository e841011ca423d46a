"""Splits whose images are written to array_record files as TFDS writes them, without TFDS."""

import dataclasses
import io

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image

from faceemo.data.disk import whole_split
from faceemo.data.disk.stored_images import StoredImages
from faceemo.errors import escape_name


def store(split, folder, *, shards=2):
    """Returns the split with its images in `shards` files in a folder, surveyed."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, rows in enumerate(np.array_split(np.arange(len(split)), shards)):
        path = folder / f"images-{number}.array_record"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for row in rows.tolist():
            writer.write(make_record(split.images[row], split.labels[row], split.paths[row]))
        writer.close()
        files.append((str(path), len(rows)))
    stored = StoredImages(tuple(files), split.images.shape)
    stored = whole_split.survey(stored, split.labels, split.paths, folder / "facts.json")
    return dataclasses.replace(split, images=stored)


def make_record(image, label, path):
    """Makes the message tf.train.Example of an image."""
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    features = {
        "image": _field(1, _field(1, png.getvalue())),
        "label": _field(3, _field(1, _varint(int(label)))),
        "path": _field(1, _field(1, escape_name(path).encode())),
    }
    entries = [
        _field(1, _field(1, name.encode()) + _field(2, value)) for name, value in features.items()
    ]
    return _field(1, b"".join(entries))


def _field(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])
