"""What is fuzzed: each target takes one file and must end in an answer or in a `UserError`."""

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
from faceemo.inference.images import pictures_of
from faceemo.inference.predictor import LIMIT, Predictor

from .network import small_network

Target = Callable[[Path], str]

_LOCK = ".lock"  # of `faceemo.staging.locked`, which stays


def predictor(folder: Path) -> Target:
    """`faceemo predict` on one image file: read, searched, answered, told, drawn."""
    del folder
    network = small_predictor()
    return lambda path: _predicted(network, path)


def zips(folder: Path) -> Target:
    """`faceemo.data.prepare.prepare` on one zip: unpacked, then every image decoded and hashed."""

    def run(path: Path) -> str:
        root = folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        shutil.copyfile(path, root / archive.ZIP)
        before = _listing(folder)
        try:
            images = prepare.prepare(root, last="unpack")
        except UserError as error:
            left = _listing(root) - {archive.ZIP, _LOCK}
            if left:
                raise AssertionError(f"refused, but left {sorted(left)}") from error
            return f"refused: {_kind(str(error))}"
        if stray := {name for name in _listing(folder) - before if not name.startswith("root/")}:
            raise AssertionError(f"written outside the dataset's folder: {sorted(stray)}")
        contents = [file.read_bytes() for file in sorted(images.rglob("*")) if file.is_file()]
        facts = measure.measure_files(contents, _Blind())
        return f"taken, {'some' if any(fact.problem for fact in facts) else 'none'} unreadable"

    return run


def server(folder: Path) -> Target:
    """`faceemo serve` on one request, as bytes on a connection of its own."""
    del folder
    from fuzzing.webserver import Webserver  # the extra 'serve' is this target's alone

    return Webserver(small_predictor()).outcome


def small_predictor() -> Predictor:
    """One that needs no training: VGG16 at 32 pixels, random weights, every batch compiled."""
    cv2.setNumThreads(1)
    network = Predictor(small_network())
    side = network.trained.config.native_size
    for power in range(LIMIT.bit_length()):
        network.probabilities(np.zeros((1 << power, side, side), "u1"))
    return network


# Each makes its target, which may use a folder of its own.
TARGETS: dict[str, Callable[[Path], Target]] = {
    "predictor": predictor,
    "zip": zips,
    "server": server,
}


class _Blind(face_detector.Detector):
    """Sees no faces: detection is the predictor's to be fuzzed with, and takes most of the time."""

    def __init__(self) -> None:
        self.workers = 1

    def detect(self, images: Sequence[np.ndarray]) -> list[boxes.Detection]:
        """Nothing in any image."""
        return [boxes.Detection(0.0, None, face_detector.SIDE) for _ in images]


def _predicted(network: Predictor, path: Path) -> str:
    ((picture, answers),) = network.stream(pictures_of([path]))
    if picture.pixels is None:
        return f"unreadable: {_kind(picture.problem)}"
    assert answers
    lines = [formats.formatter(form, network.classes)[1] for form in formats.FORMATS]
    for one in answers:
        for line in lines:
            line(one)
        if one.probabilities:
            assert math.isclose(sum(one.probabilities.values()), 1, abs_tol=1e-5), one
        numbers = [*(one.box or ()), *one.probabilities.values()]
        assert all(map(math.isfinite, numbers)), one
    rgb = np.ascontiguousarray(picture.pixels.bgr[..., ::-1])
    assert annotate(rgb, answers).dtype == np.uint8
    statuses = {one.status for one in answers}
    return f"answered: {'no face' if statuses == {'no_face'} else 'faces'}"


def _kind(message: str) -> str:
    """A message without what differs from file to file."""
    start = re.sub(r"(?s)^expected .*; found ", "", message).partition(" Fix:")[0].partition(":")[0]
    return re.sub(r"[\d,.]+", "#", start)[:60]


def _listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
