"""The faces of infer.py, and the accuracy of the contestants on them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import sklearn.metrics

from faceemo.analysis.statistics import wilson_interval
from faceemo.config import CLASSES, ImageFormat, make_config
from faceemo.data.measure.decode import decode
from faceemo.data.source import sources
from faceemo.errors import UserError
from faceemo.inference.faces import cut_square
from faceemo.train.checkpoint.trained_model import read as read_trained

TOLERANCE = 1e-4  # for probabilities, as in `faceemo.inference.export.export`
# Rows of FER2013 below this are its training split, on which fer was evidently trained.
_FIRST_UNSEEN_ROW = 28_709


@dataclasses.dataclass(frozen=True, eq=False)
class Faces:
    """Labelled faces.

    Attributes:
        pixels: uint8 [N, S, S].
        labels: Class of each face.
        rows: Row of FER2013 that the file name gives, int [N]; -1 without one.
    """

    pixels: np.ndarray
    labels: tuple[str, ...]
    rows: np.ndarray


def read_faces(source: Path, split: str | None, count: int, run: Path | None) -> Faces:
    """Reads faces, squeezed to the native size as the predictor does with crops.

    Args:
        source: Zip, folder or CSV.
        split: Split to read, or None for all.
        count: Number of random faces, always the same ones; 0 for all.
        run: Trained run whose classes and native size are used; None for the defaults.

    Raises:
        UserError: If there is no face of these classes.
    """
    trained = read_trained(run) if run else None
    classes = trained.classes if trained else CLASSES
    form = trained.image_format if trained else ImageFormat.from_config(make_config("vgg16"))
    if form.in_colour:
        raise UserError(
            expected="a network that sees grey images, as the other contestants do",
            found=f"one of {form} in {run}",
            fix="name another --run",
        )
    return read_faces_of(source, split, count, classes, form)


def read_faces_of(
    source: Path, split: str | None, count: int, classes: Sequence[str], form: ImageFormat
) -> Faces:
    """Reads faces of some classes as `read_faces`, squeezed to the size of a format.

    Raises:
        UserError: If there is no face of these classes.
    """
    opened = sources.find(source.parent, source, from_within=False)
    places = {
        path: place
        for path, place in opened.layout().destinations.items()
        if place.label in classes and split in (None, place.split)
    }
    names = sorted(places)
    if count and count < len(names):
        names = sorted(np.random.default_rng(0).choice(names, count, replace=False).tolist())
    contents = dict(opened.read_files(names))
    decoded = {name: decode(contents[name]).pixels for name in names}
    readable = {name: pixels for name, pixels in decoded.items() if pixels is not None}
    if not readable:
        raise UserError(
            expected=f"faces of {', '.join(classes)} in {source}",
            found="no readable image",
            fix="give other --images or another --split",
        )
    return Faces(
        np.stack(
            [
                cut_square(pixels, (0, 0, *pixels.grey.shape[::-1]), form)
                for pixels in readable.values()
            ]
        ),
        tuple(places[name].label for name in readable),
        np.array([_parse_row(name) for name in readable]),
    )


def format_agreement(
    probabilities: Mapping[str, np.ndarray], equal: Sequence[str]
) -> Iterator[str]:
    """Yields a line on the largest difference from faceemo for each contestant in `equal`."""
    if "faceemo" not in probabilities:
        return
    spread = np.ptp(probabilities["faceemo"], axis=0).max()
    for name in equal:
        if name == "faceemo":
            continue
        difference = float(np.abs(probabilities[name] - probabilities["faceemo"]).max())
        verdict = "agrees" if difference <= TOLERANCE else "DISAGREES"
        yield (
            f"{name} {verdict} with faceemo: probabilities differ by at most {difference:.1e}; "
            f"between faces they differ by up to {spread:.2g}"
        )


def format_table(
    probabilities: Mapping[str, np.ndarray], faces: Faces, classes: Sequence[str]
) -> Iterator[str]:
    """Yields lines with accuracy and macro-F1 on all faces, and on those fer has (not) seen."""
    parts = {"all": np.full(len(faces.rows), True)}
    if (faces.rows >= 0).all():
        parts |= {
            f"rows from {_FIRST_UNSEEN_ROW:,}": faces.rows >= _FIRST_UNSEEN_ROW,
            "rows below, which fer has seen": faces.rows < _FIRST_UNSEEN_ROW,
        }
    truth = np.array([classes.index(label) for label in faces.labels])
    for part, inside in parts.items():
        if not inside.any():
            continue
        for name, rows in probabilities.items():
            predicted = rows.argmax(1)[inside]
            correct, total = int((predicted == truth[inside]).sum()), int(inside.sum())
            low, high = wilson_interval(correct, total)
            f1 = sklearn.metrics.f1_score(truth[inside], predicted, average="macro")
            yield (
                f"{part}, n = {total:,}: {name} accuracy {correct / total:.3f} "
                f"({low:.3f} to {high:.3f}), macro-F1 {f1:.3f}"
            )


def _parse_row(name: str) -> int:
    stem = Path(name).stem
    return int(stem) if stem.isdecimal() and stem.isascii() else -1
