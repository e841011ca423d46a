"""The faces of infer.py, and how right the contestants are about them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import sklearn.metrics
from PIL import Image

from faceemo.analysis.statistics import wilson_interval
from faceemo.config import CLASSES, make_config
from faceemo.data.measure.decode import decode, resize_square
from faceemo.data.source import sources
from faceemo.errors import UserError
from faceemo.train.checkpoint.trained_model import read as read_trained

TOLERANCE = 1e-4  # of probabilities, as of `faceemo.inference.export.export`
# Rows of FER2013 below it are its training split, which the peer evidently learned from.
_SEEN = 28_709


@dataclasses.dataclass(frozen=True, eq=False)
class Faces:
    """Pixels uint8 [N, S, S], their labels, and the row of FER2013 by their names, -1 if none."""

    pixels: np.ndarray
    labels: tuple[str, ...]
    rows: np.ndarray


def read(source: Path, split: str | None, count: int, run: Path | None) -> Faces:
    """Faces of the run's classes, as its predictor is shown crops.

    Args:
        source: zip, folder or csv.
        split: of it, or None for all.
        count: that are drawn at random, always the same; 0 for all.
        run: a trained run, whose classes and native size are taken; None for the usual ones.

    Raises:
        UserError: if there are none.
    """
    trained = read_trained(run) if run else None
    classes = trained.classes if trained else CLASSES
    side = (trained.config if trained else make_config("vgg16")).native_size
    opened = sources.find(source.parent, source, from_within=False)
    places = {
        path: place
        for path, place in opened.layout().places.items()
        if place.label in classes and split in (None, place.split)
    }
    names = sorted(places)
    if count and count < len(names):
        names = sorted(np.random.default_rng(0).choice(names, count, replace=False).tolist())
    contents = dict(opened.contents(names))
    decoded = {name: decode(contents[name]).pixels for name in names}
    found = {name: pixels for name, pixels in decoded.items() if pixels is not None}
    if not found:
        raise UserError(
            expected=f"faces of {', '.join(classes)} in {source}",
            found="none that can be read",
            fix="name other --images, or another --split",
        )
    return Faces(
        np.stack([resize_square(Image.fromarray(pixels.grey), side) for pixels in found.values()]),
        tuple(places[name].label for name in found),
        np.array([_row(name) for name in found]),
    )


def agreement(answers: Mapping[str, np.ndarray], same: Sequence[str]) -> Iterator[str]:
    """How far the contestants with the same weights are apart, in lines."""
    if "faceemo" not in answers:
        return
    spread = np.ptp(answers["faceemo"], axis=0).max()
    for name in same:
        if name == "faceemo":
            continue
        apart = float(np.abs(answers[name] - answers["faceemo"]).max())
        verdict = "agrees" if apart <= TOLERANCE else "DISAGREES"
        yield (
            f"{name} {verdict} with faceemo: probabilities at most {apart:.1e} apart, which differ "
            f"by {spread:.2g} among the faces"
        )


def table(answers: Mapping[str, np.ndarray], faces: Faces, classes: Sequence[str]) -> Iterator[str]:
    """Accuracy and macro-F1 of each, in lines; also by whether the peer may have seen the faces."""
    parts = {"all": np.full(len(faces.rows), True)}
    if (faces.rows >= 0).all():
        parts |= {
            f"rows from {_SEEN:,}": faces.rows >= _SEEN,
            "rows below, which fer has seen": faces.rows < _SEEN,
        }
    truth = np.array([classes.index(label) for label in faces.labels])
    for part, inside in parts.items():
        if not inside.any():
            continue
        for name, chances in answers.items():
            guesses = chances.argmax(1)[inside]
            right, total = int((guesses == truth[inside]).sum()), int(inside.sum())
            low, high = wilson_interval(right, total)
            f1 = sklearn.metrics.f1_score(truth[inside], guesses, average="macro")
            yield (
                f"{part}, n = {total:,}: {name} accuracy {right / total:.3f} "
                f"({low:.3f} to {high:.3f}), macro-F1 {f1:.3f}"
            )


def _row(name: str) -> int:
    stem = Path(name).stem
    return int(stem) if stem.isdecimal() and stem.isascii() else -1
