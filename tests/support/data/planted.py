"""Random pictures with planted fates, and a stand-in that says which of them are faces."""

import io
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from faceemo import staging
from faceemo.config import CLASSES, SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.measure import boxes, measure
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from tests.support.data import forms


def picture(seed, face=True, shade=0):
    """A random picture; the stand-in for the detector tells a face by its first pixel."""
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)
    pixels[0, 0] = 255 if face else 0
    pixels[40, 40] = shade  # other bytes, same dHash
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


# By path: the content, and the fate that the rules give it.
PICTURES: dict[str, tuple[bytes, str]] = {
    f"{split}/{label}/{row}.png": (picture(1000 * s + 100 * c + row), ledger.KEPT)
    for s, split in enumerate(SPLITS)
    for c, label in enumerate(CLASSES)
    for row in (10, 20, 30)
} | {
    # inside one folder: 9 stands before 10, whatever the text order says
    "train/sad/9.png": (picture(210), ledger.KEPT),
    "train/sad/10.png": (picture(210, shade=1), ledger.DUPLICATE),
    # across train and validation: happy stays in train, sad in validation
    "validation/happy/40.png": (picture(10), ledger.DUPLICATE),
    "validation/sad/40.png": (picture(220, shade=1), ledger.KEPT),
    "train/sad/20.png": (picture(220), ledger.DUPLICATE),
    # two labels
    "train/neutral/50.png": (picture(7), ledger.CONFLICT),
    "validation/surprise/50.png": (picture(7), ledger.CONFLICT),
    # leaks into test: measured, not mended
    "test/happy/60.png": (picture(20), ledger.KEPT),
    "test/neutral/60.png": (picture(1110, shade=1), ledger.KEPT),
    # no face, one of them would be a duplicate
    "train/happy/70.png": (picture(30, face=False), ledger.NO_FACE),
    "test/sad/70.png": (picture(8, face=False), ledger.NO_FACE),
    "train/surprise/80.png": (picture(9)[:-500], ledger.UNREADABLE),
}


class StandIn:
    """Sees a face where the first pixel is white."""

    workers = 2
    seen = 0

    def __init__(self, exact=False):
        self.side = 300 if exact else 96

    def detect(self, images):
        StandIn.seen += len(images)
        return [
            boxes.Detection(0.9, (4.0, 4.0, 40.0, 40.0), self.side)
            if image[0, 0, 0] == 255
            else boxes.Detection(0.25, (4.0, 4.0, 40.0, 40.0), 300)
            for image in images
        ]


# contents that can be decoded: what a first preparation looks at
LOOKS = len({content for content, fate in PICTURES.values() if fate != ledger.UNREADABLE})


def draw_nothing():
    prepare._PICTURES = {
        stage: dict.fromkeys(names, lambda root, rows, rules, path: touch(path))
        for stage, names in prepare._PICTURES.items()
    }


def touch(path):
    with staging.file(path) as partial:
        partial.touch()


def write_zip(root, files=PICTURES):
    """Puts the zip into the folder `root`, which it returns."""
    images = {name: content for name, (content, _) in files.items()}
    forms.write_zip(root / archive.ZIP, forms.below(images, archive.FOLDER))
    return root


def state(root):
    """Everything that preparation wrote, but for the pictures and what it remembers of files."""
    apart = (".lock", measure.NAME, measure.NAME_EXACT)
    return {
        path: content
        for path, content in forms.contents(root).items()
        if PurePosixPath(path).name not in apart
        and PurePosixPath(path).parent.name != prepare.PICTURES
    }


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
