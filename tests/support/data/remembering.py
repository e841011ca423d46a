"""The real detector with a memory, and the fates that it leads to."""

import contextlib
import re
import typing
from pathlib import PurePosixPath

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.measure import face_detector
from faceemo.data.prepare import prepare


class Remembering(face_detector.Detector):
    """The real detector, which looks at equal pixels once in all tests."""

    known: typing.ClassVar = {}

    def detect(self, images):
        keys = [(image.shape, image.tobytes()) for image in images]
        for key, image in zip(keys, images, strict=True):
            if key not in self.known:
                (self.known[key],) = super().detect([image])
        return [self.known[key] for key in keys]


@contextlib.contextmanager
def in_place():
    """The detector with a memory in the place of the other; no pictures are drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_detector, "Detector", Remembering)
        patch.setattr(prepare, "_PICTURES", {"screen": {}, "dedupe": {}})
        yield


def row_number(path):
    return int(re.sub(r"\D", "", PurePosixPath(path).name))


def fates(root):
    """By the number in a file's name: split, class, fate."""
    return {row_number(row.path): (row.split, row.label, row.fate) for row in ledger.read(root)}
