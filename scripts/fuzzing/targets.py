"""Targets of the fuzzer: each takes one file, and must return or raise a `UserError`."""

import math
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from faceemo.data.measure import boxes, face_detector, measure
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from faceemo.errors import UserError
from faceemo.inference import formats
from faceemo.inference.annotate import annotate
from faceemo.inference.images import load_images
from faceemo.inference.predictor import MAX_BATCH, Predictor

from .network import small_network

Target = Callable[[Path], str]

_LOCK = ".lock"  # the lock file of `faceemo.staging.locked`, which is not removed


def predictor(folder: Path) -> Target:
    """Makes the target that does what `faceemo predict` does with one image file."""
    del folder
    network = make_small_predictor()
    return lambda path: _predict(network, path)


def zips(folder: Path) -> Target:
    """Makes the target that prepares one zip: unpacks it, then decodes and hashes every image."""

    def run(path: Path) -> str:
        root = folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        shutil.copyfile(path, root / archive.ZIP)
        before = _list_files(folder)
        try:
            images = prepare.prepare(root, last="unpack")
        except UserError as error:
            remaining = _list_files(root) - {archive.ZIP, _LOCK}
            if remaining:
                message = f"refused the zip, but left files behind: {sorted(remaining)}"
                raise AssertionError(message) from error
            return f"refused: {_shorten(str(error))}"
        if stray := {name for name in _list_files(folder) - before if not name.startswith("root/")}:
            raise AssertionError(f"wrote outside the dataset's folder: {sorted(stray)}")
        contents = [file.read_bytes() for file in sorted(images.rglob("*")) if file.is_file()]
        facts = measure.measure_files(contents, _NoDetector())
        return (
            f"unpacked, {'some' if any(fact.problem for fact in facts) else 'no'} images unreadable"
        )

    return run


def server(folder: Path) -> Target:
    """Makes the target that sends one request to a running server on its own connection."""
    del folder
    from fuzzing.webserver import Webserver  # only this target needs the extra 'serve'

    return Webserver(make_small_predictor()).send


def make_small_predictor() -> Predictor:
    """Makes a predictor with random weights and compiles it for every batch size."""
    cv2.setNumThreads(1)
    network = Predictor(small_network())
    size = network.trained.config.native_size
    for power in range(MAX_BATCH.bit_length()):
        network.probabilities(np.zeros((1 << power, size, size), "u1"))
    return network


# Functions that make a target, which may use the given folder.
TARGETS: dict[str, Callable[[Path], Target]] = {
    "predictor": predictor,
    "zip": zips,
    "server": server,
}


class _NoDetector(face_detector.Detector):
    """Finds no faces: the target 'predictor' tests detection, which takes most of the time."""

    def __init__(self) -> None:
        self.workers = 1

    def detect(self, images: Sequence[np.ndarray]) -> list[boxes.Detection]:
        """Returns an empty detection for each image."""
        return [boxes.Detection(0.0, None, face_detector.SIDE) for _ in images]


def _predict(network: Predictor, path: Path) -> str:
    ((picture, predictions),) = network.stream(load_images([path]))
    if picture.pixels is None:
        return f"unreadable: {_shorten(picture.problem)}"
    assert predictions
    lines = [formats.make_formatter(form, network.classes)[1] for form in formats.FORMATS]
    for each in predictions:
        for line in lines:
            line(each)
        if each.probabilities:
            assert math.isclose(sum(each.probabilities.values()), 1, abs_tol=1e-5), each
        numbers = [*(each.box or ()), *each.probabilities.values()]
        assert all(map(math.isfinite, numbers)), each
    rgb = np.ascontiguousarray(picture.pixels.bgr[..., ::-1])
    assert annotate(rgb, predictions).dtype == np.uint8
    statuses = {each.status for each in predictions}
    return f"predicted: {'no face' if statuses == {'no_face'} else 'faces'}"


def _shorten(message: str) -> str:
    """Removes from a message what differs from file to file."""
    start = re.sub(r"(?s)^expected .*; found ", "", message).partition(" Fix:")[0].partition(":")[0]
    return re.sub(r"[\d,.]+", "#", start)[:60]


def _list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
