"""Forward pass and training step of the backbones beside Keras (on TensorFlow, on JAX) and PyTorch.

All compute the same: the whole network with its head, random weights, the same images, Adam. A
training step of faceemo is the one that runs use, enlargement and preprocessing of the images
included; the others get float images that are ready. Each framework runs as it is fastest here:
Keras on TensorFlow with its own kernels instead of XLA's, PyTorch with channels last.

The ratio is the best other's time over faceemo's: above 1, faceemo is the fastest.
"""

import argparse
import itertools
import sys
from pathlib import Path

from faceemo.config import ARCHS, UNFREEZE

from . import timing

FRAMEWORKS = ("faceemo", "keras-tensorflow", "keras-jax", "torch")
FORWARD = "forward"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `scripts/benchmark.py models`."""
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[96, 224], help="pixels")
    parser.add_argument(
        "--unfreeze", nargs="+", default=["all", "1"], choices=UNFREEZE, help="blocks that train"
    )
    parser.add_argument("--frameworks", nargs="+", default=FRAMEWORKS, choices=FRAMEWORKS)
    parser.add_argument(
        "--batch", type=int, default=0, help="images; 32 up to 128 pixels, else 8, by default"
    )
    parser.add_argument("--rounds", type=int, default=5)


def run(options: argparse.Namespace) -> None:
    """Prints a table, image rates by framework and task, as they are measured."""
    tasks = [FORWARD, *(f"train {level}" for level in options.unfreeze)]
    print(f"images/s: median of {options.rounds} turns of seconds each (smallest to largest)")
    for arch, size in itertools.product(options.archs, options.sizes):
        batch = options.batch or (32 if size <= 128 else 8)
        programs = {
            name: [
                sys.executable,
                str(Path(__file__).with_name("network.py")),
                *(name, arch, str(size), str(batch)),
                *options.unfreeze,
            ]
            for name in options.frameworks
        }
        seconds, failed = timing.side_by_side(programs, tasks, options.rounds)
        print(f"\n{arch}, {size} px, batch {batch}")
        for task, of_task in seconds.items():
            print(_line(task, batch, of_task), flush=True)
        for name, reason in failed.items():
            print(f"  {name} did not run: {reason}")


def _line(task: str, batch: int, seconds: dict[str, list[float]]) -> str:
    cells = []
    for name, values in seconds.items():
        middle, low, high = timing.spread([batch / value for value in values])
        cells.append(f"{name} {middle:.1f} ({low:.1f}-{high:.1f})")
    others = [timing.spread(v)[0] for name, v in seconds.items() if name != FRAMEWORKS[0]]
    if FRAMEWORKS[0] in seconds and others:
        cells.append(f"ratio {min(others) / timing.spread(seconds[FRAMEWORKS[0]])[0]:.2f}")
    return f"  {task:<10}  {'  '.join(cells)}"
