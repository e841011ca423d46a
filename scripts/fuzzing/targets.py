"""Targets of the fuzzer: each takes one file, and must return or raise a `UserError`."""

import math
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from faceemo.data.measure import boxes, face_detector, measure, thumbnails
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from faceemo.errors import UserError
from faceemo.inference import formats
from faceemo.inference.annotate import annotate
from faceemo.inference.film.smoothing import Smoother
from faceemo.inference.images import load_images
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import MAX_BATCH, Predictor

from .network import small_network


class Outcome(NamedTuple):
    """What a target made of an input.

    Attributes:
        description: The outcome in a few words.
        megapixels: Size of the images that were searched for faces, which takes time.
    """

    description: str
    megapixels: float = 0.0


Target = Callable[[Path], Outcome]

# What may remain of a refused source: the lock file of `faceemo.staging.locked`, and what the
# search for groups measured, so that a next attempt need not measure it again.
_REMAINS = {".lock", thumbnails.NAME, measure.NAME_PLAIN}


def predictor(folder: Path) -> Target:
    """Makes the target that does what `faceemo predict` does with one image file or film."""
    del folder
    network = make_small_predictor()
    return lambda path: _predict(network, path)


def zips(folder: Path) -> Target:
    """Makes the target that prepares a zip or csv: unpacks it, decodes and hashes every image."""

    def run(path: Path) -> Outcome:
        root = folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        source = root / Path(archive.ZIP).with_suffix(path.suffix)
        shutil.copyfile(path, source)
        before = _list_files(folder)
        try:
            images = prepare.prepare(root, last="unpack")
        except UserError as error:
            remaining = _list_files(root) - {source.name} - _REMAINS
            if remaining:
                message = f"refused the source, but left files behind: {sorted(remaining)}"
                raise AssertionError(message) from error
            return Outcome(f"refused: {_shorten(str(error))}")
        if stray := {name for name in _list_files(folder) - before if not name.startswith("root/")}:
            raise AssertionError(f"wrote outside the dataset's folder: {sorted(stray)}")
        contents = [file.read_bytes() for file in sorted(images.rglob("*")) if file.is_file()]
        facts = measure.measure_files(contents, _NoDetector())
        unreadable = "some" if any(fact.problem for fact in facts) else "no"
        return Outcome(f"unpacked, {unreadable} images unreadable")

    return run


def server(folder: Path) -> Target:
    """Makes the target that sends one request to a running server on its own connection."""
    del folder
    from fuzzing.webserver import Webserver  # only this target needs the extra 'serve'

    webserver = Webserver(make_small_predictor())
    return lambda path: Outcome(*webserver.send(path))


def make_small_predictor() -> Predictor:
    """Makes a predictor with random weights and compiles it for every batch size."""
    cv2.setNumThreads(1)
    network = Predictor(small_network())
    shape = network.trained.image_format.shape
    for power in range(MAX_BATCH.bit_length()):
        network.probabilities(np.zeros((1 << power, *shape), "u1"))
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


def _predict(network: Predictor, path: Path) -> Outcome:
    results = list(network.stream(load_images([path])))
    assert [image.index for image, _ in results] == list(range(len(results)))
    assert results, "no image and no reason why there is none"
    lines = [formats.make_formatter(form, network.classes)[1] for form in formats.FORMATS]
    smoother = Smoother(0.5)
    statuses = set()
    for image, predictions in results:
        assert predictions
        if image.time is not None:
            assert math.isfinite(image.time), image.time
            assert all(bool(one.track) == bool(one.probabilities) for one in predictions)
            predictions = smoother.smooth(predictions)
        for each in predictions:
            _check_prediction(each)
            for line in lines:
                line(each)
        statuses |= {each.status for each in predictions}
        if image.pixels is not None:
            rgb = np.ascontiguousarray(image.pixels.bgr[..., ::-1])
            assert annotate(rgb, predictions).dtype == np.uint8
    megapixels = sum(image.pixels.grey.size for image, _ in results if image.pixels) / 1e6
    last, _ = results[-1]
    film = "a film, " if last.time is not None else ""
    if last.pixels is None:
        return Outcome(f"unreadable: {film}{_shorten(last.problem)}", megapixels)
    found = "no face" if statuses == {"no_face"} else "faces"
    return Outcome(f"predicted: {film}{found}", megapixels)


def _check_prediction(prediction: Prediction) -> None:
    probabilities = prediction.probabilities.values()
    if probabilities:
        assert math.isclose(sum(probabilities), 1, abs_tol=1e-5), prediction
    assert all(map(math.isfinite, [*(prediction.box or ()), *probabilities])), prediction


def _shorten(message: str) -> str:
    """Removes from a message what differs from file to file."""
    start = re.sub(r"(?s)^expected .*; found ", "", message).partition(" Fix:")[0].partition(":")[0]
    return re.sub(r"[\d,.]+", "#", start)[:60]


def _list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
