"""A small valid zip, for tests that spoil or replace it."""

import zipfile

from faceemo.config import CLASSES, SPLITS
from faceemo.data.source import archive
from tests.support.data import forms

GOOD = {
    f"{archive.FOLDER}/{split}/{label}/{row}.jpg": f"{split} {label} {row}".encode() * 20
    for split in SPLITS
    for label in CLASSES
    for row in (7, 12)
}
ONE = f"{archive.FOLDER}/train/happy/7.jpg"


def write_zip(root, files=GOOD, method=zipfile.ZIP_STORED):
    """Writes the zip into the folder `root` and returns `root`; a key may be a ZipInfo."""
    forms.write_zip(root / archive.ZIP, files, method)
    return root


def without_top(files):
    return {name.removeprefix(f"{archive.FOLDER}/"): content for name, content in files.items()}
