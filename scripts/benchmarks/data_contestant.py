"""Program that data.py times: prepares and hashes a zip of faces, plainly or with faceemo.

    python data_contestant.py plain|faceemo ZIP OUT
    python data_contestant.py repeat ZIP
    python data_contestant.py pairs COUNT
    python data_contestant.py batches SIZE

'plain' was written for this comparison and works as the original project did: one image at a time,
each step by the library's own function with its default settings. Fates and hashes go to OUT.
"""

import contextlib
import functools
import io
import json
import random
import re
import resource
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import imagehash
import numpy as np
import timing
from PIL import Image

from faceemo.assets import catalogue
from faceemo.data import pipeline
from faceemo.data.ledger import hamming_pairs, ledger
from faceemo.data.ledger.judge import DEFAULT_KEPT_SPLIT, KEPT_SPLIT_BY_CLASS
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import hashing
from faceemo.data.prepare import prepare
from faceemo.data.source import archive

_PIPELINE_IMAGES = 20_000


def plain_preparation(zip_path: Path, folder: Path) -> dict[str, str]:
    """Unpacks, screens and removes duplicates one image at a time; returns {path: fate}."""
    with zipfile.ZipFile(zip_path) as members:
        members.extractall(folder)
    originals = folder / archive.FOLDER
    paths = sorted(path.relative_to(originals).as_posix() for path in originals.rglob("*.jpg"))
    network = cv2.dnn.readNetFromCaffe(
        str(catalogue.fetch("res10.prototxt")), str(catalogue.fetch("res10.caffemodel"))
    )
    fates, groups = {}, {}
    for path in paths:
        image = cv2.imread(str(originals / path))
        assert image is not None
        blob = cv2.dnn.blobFromImage(
            cv2.resize(image, (300, 300)), 1.0, (300, 300), (104.0, 177.0, 123.0)
        )
        network.setInput(blob)
        found = network.forward()[0, 0, :, 2].max() > 0.5
        fates[path] = ledger.KEPT if found else ledger.NO_FACE
        _copy(originals / path, folder / ("high" if found else "low") / path)
    for path in paths:
        if fates[path] == ledger.KEPT and not path.startswith("test/"):
            with Image.open(originals / path) as image:
                groups.setdefault(str(imagehash.dhash(image)), []).append(path)
    for members in groups.values():
        fates |= _plain_fates(members)
    for path in paths:
        if fates[path] == ledger.KEPT:
            _copy(originals / path, folder / "unique" / path)
    return fates


def _plain_fates(paths: Sequence[str]) -> dict[str, str]:
    """Applies the rules of policy 'original' to images with equal hashes; returns {path: fate}."""
    labels = {path.split("/")[1] for path in paths}
    if len(labels) > 1:
        return dict.fromkeys(paths, ledger.CONFLICT)
    split = KEPT_SPLIT_BY_CLASS.get(labels.pop(), DEFAULT_KEPT_SPLIT)
    preferred = [path for path in paths if path.startswith(split)] or paths
    kept = min(preferred, key=lambda path: int(Path(path).stem))
    return dict.fromkeys(paths, ledger.DUPLICATE) | {kept: ledger.KEPT}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def faceemo_preparation(zip_path: Path, folder: Path) -> dict[str, str]:
    """Prepares with faceemo, including ledger and leak audit but not its pictures; {path: fate}."""
    prepare._PICTURES = {stage: {} for stage in prepare._PICTURES}
    shutil.copyfile(zip_path, folder / archive.ZIP)
    with contextlib.redirect_stdout(io.StringIO()):
        prepare.prepare(folder)
    return {row.path: row.fate for row in ledger.read(folder)}


def decode_images(zip_path: Path) -> list[Image.Image]:
    """Decodes all images of the zip, so that only hashing is timed afterwards."""
    images = []
    with zipfile.ZipFile(zip_path) as members:
        for name in sorted(members.namelist()):
            with members.open(name) as file, Image.open(file) as image:
                images.append(image.convert("L"))
    return images


def make_tasks(contestant: str, zip_path: Path, out: Path) -> dict[str, Callable[[], object]]:
    """Makes the tasks 'prepare' and 'hash'."""
    images = functools.cache(lambda: decode_images(zip_path))
    arrays = functools.cache(lambda: [np.asarray(image) for image in images()])

    def prepare_zip() -> None:
        with tempfile.TemporaryDirectory() as folder:
            preparation = plain_preparation if contestant == "plain" else faceemo_preparation
            fates = preparation(zip_path, Path(folder))
        (out / f"{contestant}.fates.json").write_text(json.dumps(fates, sort_keys=True))

    def compute_hashes() -> None:
        if contestant == "plain":
            hashes: list = [imagehash.dhash(image) for image in images()]
        else:
            hashes = hashing.dhash(arrays()).tolist()
        target = out / f"{contestant}.hashes.json"
        if not target.exists():  # in the untimed round
            to_text = str if contestant == "plain" else hashing.to_hex
            target.write_text(json.dumps([to_text(each) for each in hashes]))

    # Decode before the clock starts.
    images() if contestant == "plain" else arrays()
    return {"prepare": prepare_zip, "hash": compute_hashes}


def time_repeated(zip_path: Path) -> None:
    """Prints the seconds of a preparation, and of later ones that need not decode any image."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = {
            "first": timing.time_call(lambda: faceemo_preparation(zip_path, folder)),
            "again": timing.time_call(lambda: faceemo_preparation(zip_path, folder)),
        }
        with contextlib.redirect_stdout(io.StringIO()):
            strict = Rules(policy="strict", face_threshold=0.4)
            seconds["other rules"] = timing.time_call(lambda: prepare.prepare(folder, strict))
            # The same images under other names, as in another zip.
            _write_renamed(zip_path, folder / archive.ZIP)
            seconds["renamed"] = timing.time_call(lambda: prepare.prepare(folder))
    print(json.dumps(seconds))


def _write_renamed(zip_path: Path, target: Path) -> None:
    target.unlink()
    with zipfile.ZipFile(zip_path) as source, zipfile.ZipFile(target, "w") as renamed:
        for name in source.namelist():
            moved = re.sub(r"([0-9]+)\.jpg$", lambda match: f"{int(match[1]) + 50_000}.jpg", name)
            renamed.writestr(moved, source.read(name))


def time_pairs(count: int) -> None:
    """Prints seconds, number of pairs and additional megabytes for the search in random hashes.

    One in a hundred hashes is a near duplicate of another.
    """
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    flips = rng.integers(0, 64, (count // 100, 4)).astype(np.uint64)
    hashes[-len(flips) :] = hashes[: len(flips)] ^ np.bitwise_xor.reduce(np.uint64(1) << flips, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: list = []
    seconds = timing.time_call(lambda: found.append(hamming_pairs.find_pairs(hashes, 4)))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "pairs": len(found[0][0]), "megabytes": grown}))


def time_batches(size: int) -> None:
    """Prints images per second for five epochs in shuffled batches of 48x48 images."""
    images = np.random.default_rng(0).integers(0, 256, (_PIPELINE_IMAGES, 48, 48), np.uint8)
    labels = np.zeros(_PIPELINE_IMAGES, np.int32)
    split = pipeline.Split(images, labels, tuple(map(str, range(_PIPELINE_IMAGES))))

    def epoch() -> None:
        for _ in pipeline.epoch_batches(split, size, seed=random.randrange(1000)):
            pass

    print(json.dumps([_PIPELINE_IMAGES / timing.time_call(epoch) for _ in range(6)][1:]))


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "pairs":
        time_pairs(int(rest[0]))
    elif what == "batches":
        time_batches(int(rest[0]))
    elif what == "repeat":
        time_repeated(Path(rest[0]))
    else:
        timing.run_tasks(make_tasks(what, Path(rest[0]), Path(rest[1])))
