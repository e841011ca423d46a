"""The drawn sample in the forms in which FER2013 is published."""

import contextlib
import csv
import io
import zipfile
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from faceemo.data.sample import sample
from faceemo.data.source import fer_csv
from faceemo.data.source.archive import FOLDER
from tests.support.data import drawn_zip

USAGES = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


def draw_images(folder):
    """Draws the smallest sample and returns its images: {'train/happy/7.jpg': content}."""
    path = drawn_zip.write(folder, 5, sample.MIN_COUNTS)
    with zipfile.ZipFile(path) as archive:
        return {name.removeprefix(f"{FOLDER}/"): archive.read(name) for name in archive.namelist()}


def decodable(images):
    """Returns the images that can be decoded: a csv can hold no others."""
    kept = {}
    for path, content in images.items():
        with contextlib.suppress(OSError):
            Image.open(io.BytesIO(content)).load()
            kept[path] = content
    return kept


def below(images, folder):
    return {f"{folder}/{path}": content for path, content in images.items()}


def twice(images):
    """Puts the images into images/train/..., and once more into images/images/train/..."""
    return below(images, "images") | below(images, "images/images")


def with_usage_in_names(images):
    """Names images Training_7.jpg in train, PublicTest_8.jpg and PrivateTest_9.jpg in test."""
    moved = {}
    for path, content in images.items():
        split, label, name = path.split("/")
        folder = "train" if split == "train" else "test"
        moved[f"{folder}/{label}/{USAGES[split]}_{name}"] = content
    return moved


def without(images, *splits):
    return {p: content for p, content in images.items() if p.partition("/")[0] not in splits}


def without_splits(images):
    return {path.partition("/")[2]: content for path, content in images.items()}


def with_seven_classes(images):
    """Makes seven classes out of four: every third file of three of them gets another."""
    other = {"happy": "disgust", "neutral": "angry", "sad": "fear"}
    renamed = {}
    for path, content in images.items():
        split, label, name = path.split("/")
        third = int(PurePosixPath(name).stem) % 3 == 0
        renamed[f"{split}/{other.get(label, label) if third else label}/{name}"] = content
    return renamed


def make_csv(images, header=("emotion", "pixels", "Usage")):
    """Writes the csv: each image at the row that is its name, 'angry' 2x2 images in between."""
    by_row = {int(PurePosixPath(path).stem): path for path in images}
    stream = io.StringIO(newline="")
    rows = csv.writer(stream)
    rows.writerow(header)
    for row in range(max(by_row) + 1):
        fields = {"emotion": "0", "pixels": "0 0 0 0", "Usage": "Training"}
        if row in by_row:
            split, label, _ = by_row[row].split("/")
            pixels = np.asarray(Image.open(io.BytesIO(images[by_row[row]])).convert("L"))
            fields = {
                "emotion": str(fer_csv.EMOTIONS.index(label)),
                "pixels": " ".join(map(str, pixels.ravel())),
                "Usage": USAGES[split],
            }
        rows.writerow([fields[name.strip()] for name in header])
    return stream.getvalue()


def renumbered(images):
    """Renames the images to 0.jpg, 1.jpg, ...: in a csv no other rows come between them."""
    return {
        f"{PurePosixPath(path).parent}/{number}.jpg": content
        for number, (path, content) in enumerate(images.items())
    }


def write_zip(path, files, method=zipfile.ZIP_STORED):
    """Writes a zip whose bytes do not depend on the time; a key of `files` may be a ZipInfo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            archive.writestr(info, content, method)
    return path


def write_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def read_folder(folder):
    """Reads the files that `write_folder` wrote."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
