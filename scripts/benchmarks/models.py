"""Speed of forward pass and training step, compared with Keras (on TensorFlow, on JAX) and PyTorch.

All compute the same: backbone and head, random weights, the same images, Adam. faceemo runs the
training step of real runs, which includes enlargement and preprocessing; the others get
preprocessed float images. Each framework runs in its fastest mode here: Keras on TensorFlow with
TensorFlow's kernels instead of XLA's, PyTorch with channels last.

Each round has new processes: one that happens to get scattered memory is slow for as long as it
runs, up to 1.7 times with PyTorch. What JAX compiled is kept between them.

The ratio is the time of the fastest other framework divided by faceemo's: above 1, faceemo is the
fastest.

With --paths faceemo alone is measured, by each library and in each type of numbers: by XLA alone,
with the extension (float32) and with oneDNN. Each is then used also where a run would not choose
it. The ratios are those of the others to XLA in both types, and of the fastest bfloat16 to the
fastest float32.
"""

import argparse
import itertools
import os
import sys
import tempfile
from pathlib import Path

from faceemo.config import ARCHS, UNFREEZE

from . import timing

FRAMEWORKS = ("faceemo", "keras-tensorflow", "keras-jax", "torch")
FORWARD = "forward"
# Those of frameworks.py, which the program alone can import.
PATHS = (
    *("xla-float32", "extension-float32", "onednn-float32"),
    *("xla-bfloat16", "onednn-bfloat16"),
)


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
        "--paths", action="store_true", help="compare the libraries, and bfloat16 with float32"
    )
    parser.add_argument(
        "--batch", type=int, default=0, help="batch size (default: 32 up to 128 pixels, 8 above)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark and prints images per second as they are measured."""
    print(
        f"images/s: median of {options.rounds} rounds of at least 2 s per task "
        "(smallest to largest)"
    )
    with tempfile.TemporaryDirectory() as compiled:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", compiled)
        for arch, size in itertools.product(options.archs, options.sizes):
            _compare(options, arch, size)


def _compare(options: argparse.Namespace, arch: str, size: int) -> None:
    tasks = [FORWARD, *(f"train {level}" for level in options.unfreeze)]
    batch = options.batch or (32 if size <= 128 else 8)
    programs = {
        name: [
            sys.executable,
            str(Path(__file__).with_name("frameworks.py")),
            *(name, arch, str(size), str(batch)),
            *options.unfreeze,
        ]
        for name in (PATHS if options.paths else options.frameworks)
    }
    seconds, failed = timing.time_tasks(programs, tasks, options.rounds, restart=True)
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
    medians = {name: timing.median_and_range(values)[0] for name, values in seconds.items()}
    cells += [f"{name} {ratio:.2f}" for name, ratio in _compute_ratios(medians).items()]
    return f"  {task:<10}  {'  '.join(cells)}"


def _compute_ratios(medians: dict[str, float]) -> dict[str, float]:
    """Computes ratios of seconds by name; above 1, what the name says first is faster."""
    if FRAMEWORKS[0] in medians:
        others = [value for name, value in medians.items() if name != FRAMEWORKS[0]]
        return {"ratio": min(others) / medians[FRAMEWORKS[0]]} if others else {}
    best = {}
    ratios = {}
    for dtype in ("float32", "bfloat16"):
        found = {name: medians[name] for name in PATHS if name in medians and dtype in name}
        for name in found:
            library = name.partition("-")[0]
            if library != "xla" and f"xla-{dtype}" in found:
                ratios[f"{library} to xla, {dtype}"] = found[f"xla-{dtype}"] / found[name]
        if found:
            best[dtype] = min(found.values())
    if len(best) == 2:
        ratios["bfloat16 to float32"] = best["float32"] / best["bfloat16"]
    return ratios
