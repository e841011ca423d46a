"""Random images with planted fates, and a stand-in detector that knows which of them are faces."""

import io
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from faceemo import staging
from faceemo.config import CLASSES, SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import boxes, measure
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from tests.support.data import forms


def make_image(seed, face=True, shade=0):
    """Makes a random PNG; its first pixel tells the stand-in detector whether it is a face."""
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)
    pixels[0, 0] = 255 if face else 0
    pixels[40, 40] = shade  # other bytes, same dHash
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


# Rules under which the planted images have their fates.
RULES = Rules(policy="original")

# {path: (content, fate under `RULES`)}
PLANTED: dict[str, tuple[bytes, str]] = {
    f"{split}/{label}/{row}.png": (make_image(1000 * s + 100 * c + row), ledger.KEPT)
    for s, split in enumerate(SPLITS)
    for c, label in enumerate(CLASSES)
    for row in (10, 20, 30)
} | {
    # inside one folder: 9 comes before 10, in contrast to the order of text
    "train/sad/9.png": (make_image(210), ledger.KEPT),
    "train/sad/10.png": (make_image(210, shade=1), ledger.DUPLICATE),
    # across train and validation: happy stays in train, sad in validation
    "validation/happy/40.png": (make_image(10), ledger.DUPLICATE),
    "validation/sad/40.png": (make_image(220, shade=1), ledger.KEPT),
    "train/sad/20.png": (make_image(220), ledger.DUPLICATE),
    # two labels
    "train/neutral/50.png": (make_image(7), ledger.CONFLICT),
    "validation/surprise/50.png": (make_image(7), ledger.CONFLICT),
    # leaks into test: counted, not removed
    "test/happy/60.png": (make_image(20), ledger.KEPT),
    "test/neutral/60.png": (make_image(1110, shade=1), ledger.KEPT),
    # no face, one of them would be a duplicate
    "train/happy/70.png": (make_image(30, face=False), ledger.NO_FACE),
    "test/sad/70.png": (make_image(8, face=False), ledger.NO_FACE),
    "train/surprise/80.png": (make_image(9)[:-500], ledger.UNREADABLE),
}


class StandInDetector:
    """A detector that finds a face in an image whose first pixel is white."""

    workers = 2
    num_images = 0  # processed so far

    def __init__(self, exact=False):
        self.side = 300 if exact else 96

    def detect(self, images):
        StandInDetector.num_images += len(images)
        return [
            boxes.Detection(0.9, (4.0, 4.0, 40.0, 40.0), self.side)
            if image[0, 0, 0] == 255
            else boxes.Detection(0.25, (4.0, 4.0, 40.0, 40.0), 300)
            for image in images
        ]


# Distinct images that can be decoded, all of which a first preparation shows to the detector.
NUM_DECODABLE = len({content for content, fate in PLANTED.values() if fate != ledger.UNREADABLE})


def stub_pictures():
    """Replaces the pictures of every stage by empty files."""
    prepare._PICTURES = {
        stage: dict.fromkeys(names, lambda root, rows, rules, path: touch(path))
        for stage, names in prepare._PICTURES.items()
    }


def touch(path):
    with staging.file(path) as partial:
        partial.touch()


def write_zip(root, files=PLANTED):
    """Writes the zip into the folder `root` and returns `root`."""
    images = {name: content for name, (content, _) in files.items()}
    forms.write_zip(root / archive.ZIP, forms.below(images, archive.FOLDER))
    return root


def read_results(root):
    """Reads everything that a preparation wrote except for pictures and stored measurements."""
    left_out = (".lock", measure.NAME, measure.NAME_EXACT, measure.NAME_PLAIN)
    return {
        path: content
        for path, content in forms.read_folder(root).items()
        if PurePosixPath(path).name not in left_out
        and PurePosixPath(path).parent.name != prepare.PICTURES
    }


def list_images(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
