"""The drawn sample in the forms in which others publish FER2013."""

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

USAGES = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


def drawn(folder):
    """The sample's images: {'train/happy/7.jpg': content}; as few as there can be."""
    with contextlib.redirect_stdout(io.StringIO()):
        path = sample.write_zip(folder, seed=5, counts=sample.LEAST)
    with zipfile.ZipFile(path) as archive:
        return {name.removeprefix(f"{FOLDER}/"): archive.read(name) for name in archive.namelist()}


def whole(images):
    """Those that can be decoded: a csv can hold no others."""
    kept = {}
    for path, content in images.items():
        with contextlib.suppress(OSError):
            Image.open(io.BytesIO(content)).load()
            kept[path] = content
    return kept


def below(images, folder):
    return {f"{folder}/{path}": content for path, content in images.items()}


def twice(images):
    """images/train/... and the whole again in images/images/."""
    return below(images, "images") | below(images, "images/images")


def with_usage_in_names(images):
    """train/happy/Training_7.jpg, test/happy/PublicTest_8.jpg, test/happy/PrivateTest_9.jpg."""
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


def seven(images):
    """Seven classes out of four: every third file of three of them becomes another."""
    other = {"happy": "disgust", "neutral": "angry", "sad": "fear"}
    renamed = {}
    for path, content in images.items():
        split, label, name = path.split("/")
        third = int(PurePosixPath(name).stem) % 3 == 0
        renamed[f"{split}/{other.get(label, label) if third else label}/{name}"] = content
    return renamed


def table(images, header=("emotion", "pixels", "Usage")):
    """The csv: a row per image at the row that is its name, test-less emotion 0 between them."""
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
    """The same with the names 0.jpg, 1.jpg, ...: in a csv no other rows come between them."""
    return {
        f"{PurePosixPath(path).parent}/{number}.jpg": content
        for number, (path, content) in enumerate(images.items())
    }


def write_zip(path, files, method=zipfile.ZIP_STORED):
    """The same bytes whenever it is written: no file has a date; a key may be a ZipInfo."""
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


def contents(folder):
    """What write_folder was given."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
