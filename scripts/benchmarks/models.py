"""Speed of forward pass and training step, compared with Keras (on TensorFlow, on JAX) and PyTorch.

All compute the same: backbone and head, random weights, the same images, Adam. faceemo runs the
training step of real runs, which includes enlargement and preprocessing; the others get
preprocessed float images. Each framework runs in its fastest mode here: Keras on TensorFlow with
TensorFlow's kernels instead of XLA's, PyTorch with channels last.

The ratio is the time of the fastest other framework divided by faceemo's: above 1, faceemo is the
fastest.
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
    """Adds the options of `scripts/benchmark.py models`."""
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS, help="backbones")
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[96, 224], help="image sizes, pixels"
    )
    parser.add_argument(
        "--unfreeze", nargs="+", default=["all", "1"], choices=UNFREEZE, help="blocks that train"
    )
    parser.add_argument(
        "--frameworks",
        nargs="+",
        default=FRAMEWORKS,
        choices=FRAMEWORKS,
        help="frameworks to compare",
    )
    parser.add_argument(
        "--batch", type=int, default=0, help="batch size (default: 32 up to 128 pixels, 8 above)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark and prints images per second as they are measured."""
    tasks = [FORWARD, *(f"train {level}" for level in options.unfreeze)]
    print(
        f"images/s: median of {options.rounds} rounds of at least 2 s per task "
        "(smallest to largest)"
    )
    for arch, size in itertools.product(options.archs, options.sizes):
        batch = options.batch or (32 if size <= 128 else 8)
        programs = {
            name: [
                sys.executable,
                str(Path(__file__).with_name("frameworks.py")),
                *(name, arch, str(size), str(batch)),
                *options.unfreeze,
            ]
            for name in options.frameworks
        }
        seconds, failed = timing.time_tasks(programs, tasks, options.rounds)
        print(f"\n{arch}, {size} px, batch {batch}")
        for task, seconds_by_framework in seconds.items():
            print(_format_row(task, batch, seconds_by_framework), flush=True)
        for name, reason in failed.items():
            print(f"  {name} did not run: {reason}")


def _format_row(task: str, batch: int, seconds: dict[str, list[float]]) -> str:
    cells = []
    for name, values in seconds.items():
        middle, low, high = timing.median_and_range([batch / value for value in values])
        cells.append(f"{name} {middle:.1f} ({low:.1f}-{high:.1f})")
    others = [timing.median_and_range(v)[0] for name, v in seconds.items() if name != FRAMEWORKS[0]]
    if FRAMEWORKS[0] in seconds and others:
        cells.append(
            f"ratio {min(others) / timing.median_and_range(seconds[FRAMEWORKS[0]])[0]:.2f}"
        )
    return f"  {task:<10}  {'  '.join(cells)}"
