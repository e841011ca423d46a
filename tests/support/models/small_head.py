"""VGG16 with a narrow head, for tests that do not depend on the widths of its dense layers.

The usual head has 33 million parameters at 32 pixels, twice as many as the convolutions.
"""

import dataclasses

import pytest

from faceemo import models
from faceemo.models import vgg16

WIDTH = 64


def replace_vgg16(monkeypatch):
    """Makes every VGG16 that is built in this process one with dense layers of 64 units."""
    dense = tuple((name, WIDTH) for name, _ in vgg16.BACKBONE.dense)
    narrow = dataclasses.replace(vgg16.BACKBONE, dense=dense, extra_width=WIDTH)
    monkeypatch.setitem(models.NETWORKS, "vgg16", narrow)


@pytest.fixture(scope="module")
def narrow_vgg16():
    """Replaces VGG16 while a module's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        replace_vgg16(patch)
        yield
