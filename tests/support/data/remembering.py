"""The real detector with a cache, and the fates of images after a preparation."""

import contextlib
import re
import typing
from pathlib import PurePosixPath

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.measure import face_detector
from faceemo.data.prepare import prepare


class CachingDetector(face_detector.Detector):
    """The real detector, which processes equal pixels once in all tests."""

    cache: typing.ClassVar = {}

    def detect(self, images):
        keys = [(image.shape, image.tobytes()) for image in images]
        for key, image in zip(keys, images, strict=True):
            if key not in self.cache:
                (self.cache[key],) = super().detect([image])
        return [self.cache[key] for key in keys]


@contextlib.contextmanager
def caching_detector():
    """Replaces the detector by one with a cache, and draws no pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_detector, "Detector", CachingDetector)
        patch.setattr(prepare, "_PICTURES", {"screen": {}, "dedupe": {}})
        yield


def row_number(path):
    return int(re.sub(r"\D", "", PurePosixPath(path).name))


def read_fates(root):
    """Returns {number in the file's name: (split, class, fate)}."""
    return {row_number(row.path): (row.split, row.label, row.fate) for row in ledger.read(root)}
