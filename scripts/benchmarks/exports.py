"""Accuracy, calibration, size and time of exported files, on labelled faces.

    faceemo export RUN --format onnx --out small.onnx --precision int8
    python scripts/benchmark.py exports model.onnx small.onnx --images data/unique_images

Each file runs in its own runtime, in batches of 32 faces and one face at a time. Times are those of
the processor for one face, with which other work on the machine hardly interferes; onnxruntime has
one thread, because waiting threads would count too. `changed` is the share of faces whose most
probable class differs from the first file's. The description beside each file (FILE.json) says its
format and classes.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from faceemo.analysis import calibration
from faceemo.analysis.predictions import Predictions
from faceemo.analysis.statistics import wilson_interval
from faceemo.config.image_format import GREY, RGB, ImageFormat
from faceemo.data.source import archive
from faceemo.errors import UserError
from faceemo.inference.export import onnx_file
from faceemo.inference.export.file_formats import FORMATS

from . import infer_accuracy

_BATCH = 32
_SINGLES = 200  # faces that are timed one at a time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py exports`."""
    parser.add_argument("files", nargs="+", type=Path, help="exported files, the reference first")
    parser.add_argument(
        "--images",
        type=Path,
        default=Path("data") / archive.ZIP,
        help="zip, folder or CSV of faces (default: %(default)s)",
    )
    parser.add_argument(
        "--split", default="validation", help="split of the images (default: %(default)s)"
    )
    parser.add_argument(
        "--count", type=int, default=0, help="number of random faces (default: all)"
    )


def run(options: argparse.Namespace) -> None:
    """Measures the files one after the other and prints a row of a table for each.

    Raises:
        UserError: If a file has no description, or there are no images.
    """
    reference = None
    for path in options.files:
        about = _read_description(path)
        classes = tuple(about["classes"])
        channels = RGB if about["image"]["channels"] == "RGB" else GREY
        form = ImageFormat(about["resize"]["side"], channels)
        faces = infer_accuracy.read_faces_of(
            options.images, options.split, options.count, classes, form
        )
        run_file = _load(path, about["format"])
        batches = np.array_split(faces.pixels, -(-len(faces.pixels) // _BATCH))
        parts, seconds = zip(*(_time(run_file, batch) for batch in batches), strict=True)
        singles = [_time(run_file, one[None])[1] for one in faces.pixels[:_SINGLES]]
        predictions = Predictions(
            np.concatenate(parts),
            np.array([classes.index(label) for label in faces.labels], np.int32),
            tuple(map(str, range(len(faces.labels)))),
            faces.pixels,
            classes,
        )
        if reference is None:
            reference = predictions.predicted
            print(f"\n{len(faces.labels):,} faces of {options.images}, {options.split}\n")
            print(_ROW.format("file", "accuracy (95%)", "ECE", "MB", "changed", "batch", "single"))
        hits = int((predictions.predicted == predictions.labels).sum())
        low, high = wilson_interval(hits, len(predictions.labels))
        print(
            _ROW.format(
                path.name,
                f"{hits / len(predictions.labels):.4f} ({low:.3f} to {high:.3f})",
                f"{calibration.measure(predictions)['ece']:.4f}",
                f"{path.stat().st_size / 1e6:.2f}",
                f"{(predictions.predicted != reference).mean():.1%}",
                f"{1e3 * sum(seconds) / len(faces.pixels):.2f} ms",
                f"{1e3 * float(np.median(singles)):.2f} ms",
            ),
            flush=True,
        )


_ROW = "{:<24}{:<25}{:>8}{:>8}{:>10}{:>11}{:>11}"


def _time(
    run_file: Callable[[np.ndarray], np.ndarray], faces: np.ndarray
) -> tuple[np.ndarray, float]:
    """Returns the probabilities of some faces, and the seconds of the processor for them."""
    start = time.process_time()
    probabilities = run_file(faces)
    return probabilities, time.process_time() - start


def _load(path: Path, form: str) -> Callable[[np.ndarray], np.ndarray]:
    return onnx_file.load(path, threads=1) if form == "onnx" else FORMATS[form].load(path)


def _read_description(path: Path) -> dict:
    beside = path.with_name(f"{path.name}.json")
    if not beside.is_file():
        raise UserError(
            expected=f"{beside}, which faceemo export writes beside its files",
            found="no such file",
            fix="export the network again",
        )
    return json.loads(beside.read_text("utf-8"))
