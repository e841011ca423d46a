"""A contestant of `data.py`: prepares and hashes a zip of faces, the plain way or faceemo's.

    python preparation.py plain|faceemo ZIP OUT

'plain' is written for this comparison after what the original project did: one image at a time,
every step with the library's own call and its own settings. What each found goes to OUT.
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

_FACES = 20_000  # of the input pipeline


def plain_preparation(zip_path: Path, folder: Path) -> dict[str, str]:
    """Unpacks, screens and removes duplicates; {path: fate}."""
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
        fates |= _plain_verdicts(members)
    for path in paths:
        if fates[path] == ledger.KEPT:
            _copy(originals / path, folder / "unique" / path)
    return fates


def _plain_verdicts(paths: Sequence[str]) -> dict[str, str]:
    """The rules of policy 'original' for images with one hash."""
    labels = {path.split("/")[1] for path in paths}
    if len(labels) > 1:
        return dict.fromkeys(paths, ledger.CONFLICT)
    home = KEPT_SPLIT_BY_CLASS.get(labels.pop(), DEFAULT_KEPT_SPLIT)
    at_home = [path for path in paths if path.startswith(home)] or paths
    kept = min(at_home, key=lambda path: int(Path(path).stem))
    return dict.fromkeys(paths, ledger.DUPLICATE) | {kept: ledger.KEPT}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def faceemo_preparation(zip_path: Path, folder: Path) -> dict[str, str]:
    """The same by faceemo, ledger and leak audit included, its pictures not."""
    prepare._PICTURES = {stage: {} for stage in prepare._PICTURES}
    shutil.copyfile(zip_path, folder / archive.ZIP)
    with contextlib.redirect_stdout(io.StringIO()):
        prepare.prepare(folder)
    return {row.path: row.fate for row in ledger.read(folder)}


def decoded(zip_path: Path) -> list[Image.Image]:
    """All images of the zip in memory, so that only hashing is timed."""
    images = []
    with zipfile.ZipFile(zip_path) as members:
        for name in sorted(members.namelist()):
            with members.open(name) as file, Image.open(file) as image:
                images.append(image.convert("L"))
    return images


def tasks(who: str, zip_path: Path, out: Path) -> dict[str, Callable[[], object]]:
    """What a contestant can do, by name."""
    images = functools.cache(lambda: decoded(zip_path))
    arrays = functools.cache(lambda: [np.asarray(image) for image in images()])

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            preparation = plain_preparation if who == "plain" else faceemo_preparation
            fates = preparation(zip_path, Path(folder))
        (out / f"{who}.fates.json").write_text(json.dumps(fates, sort_keys=True))

    def hashes() -> None:
        if who == "plain":
            found: list = [imagehash.dhash(image) for image in images()]
        else:
            found = hashing.dhash(arrays()).tolist()
        target = out / f"{who}.hashes.json"
        if not target.exists():  # in the round that is not timed
            written = str if who == "plain" else hashing.to_hex
            target.write_text(json.dumps([written(one) for one in found]))

    # decoded before the clock runs
    images() if who == "plain" else arrays()
    return {"prepare": whole, "hash": hashes}


def replayed(zip_path: Path, out: Path) -> None:
    """Prints the seconds of a preparation, and of others after it that need no pixels."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = {
            "first": timing.seconds(lambda: faceemo_preparation(zip_path, folder)),
            "again": timing.seconds(lambda: faceemo_preparation(zip_path, folder)),
        }
        with contextlib.redirect_stdout(io.StringIO()):
            strict = Rules(policy="strict", face_threshold=0.4)
            seconds["other rules"] = timing.seconds(lambda: prepare.prepare(folder, strict))
            # the same images under other names, as in another zip
            _renamed(zip_path, folder / archive.ZIP)
            seconds["renamed"] = timing.seconds(lambda: prepare.prepare(folder))
    print(json.dumps(seconds))


def _renamed(zip_path: Path, target: Path) -> None:
    target.unlink()
    with zipfile.ZipFile(zip_path) as source, zipfile.ZipFile(target, "w") as renamed:
        for name in source.namelist():
            moved = re.sub(r"([0-9]+)\.jpg$", lambda match: f"{int(match[1]) + 50_000}.jpg", name)
            renamed.writestr(moved, source.read(name))


def pairs(count: int) -> None:
    """Prints seconds, pairs and megabytes of memory for random hashes with planted near ones."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    flips = rng.integers(0, 64, (count // 100, 4)).astype(np.uint64)
    hashes[-len(flips) :] = hashes[: len(flips)] ^ np.bitwise_xor.reduce(np.uint64(1) << flips, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: list = []
    seconds = timing.seconds(lambda: found.append(hamming_pairs.find_pairs(hashes, 4)))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "pairs": len(found[0][0]), "megabytes": grown}))


def batches(size: int) -> None:
    """Prints images per second of an epoch in shuffled batches of 48x48 images."""
    images = np.random.default_rng(0).integers(0, 256, (_FACES, 48, 48), np.uint8)
    labels = np.zeros(_FACES, np.int32)
    split = pipeline.Split(images, labels, tuple(map(str, range(_FACES))))

    def epoch() -> None:
        for _ in pipeline.epoch_batches(split, size, seed=random.randrange(1000)):
            pass

    print(json.dumps([_FACES / timing.seconds(epoch) for _ in range(6)][1:]))


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "pairs":
        pairs(int(rest[0]))
    elif what == "batches":
        batches(int(rest[0]))
    elif what == "replayed":
        replayed(Path(rest[0]), Path(rest[1]))
    else:
        timing.answer(tasks(what, Path(rest[0]), Path(rest[1])))
