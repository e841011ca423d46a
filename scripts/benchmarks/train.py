"""Speed of training, compared with the original's workflow; gains of freezing, caches and bfloat16.

Sections, which all run by default and report medians and ranges:

  workflow      whole epochs (reading, augmentation, training, validation; no checkpoints) compared
                with ImageDataGenerator and model.fit in Keras on TensorFlow; at 224 px a few steps
  augmentation  a batch at 224 px compared with ImageDataGenerator
  freezing      operations, optimizer memory and time of a step per unfreeze level, compared with
                the minimum that arithmetic requires
  features      six epochs of variant 0 with checkpoints: features computed once, read from disk,
                not cached, and in Keras; the histories of the first two must be identical
  startup       the first step with an empty and with a filled compilation cache
  memory        memory of a run of each variant, and the host's share of a step's time
  heap          steps with memory that the process keeps, compared with memory that it gives back
  bfloat16      steps compared with float32, and the final metrics of six epochs

Both sides read the same prepared images and start from random weights. In 'workflow' the feature
cache of variant 0 is off, so that both do the same work. Ratios are the other's time divided by
faceemo's: above 1, faceemo is faster.
"""

import argparse
import tempfile
from pathlib import Path

from faceemo.config import ARCHS, UNFREEZE

from . import train_costs, train_speed
from .train_common import TrainBenchmark

SECTIONS = {
    "workflow": train_speed.workflow,
    "augmentation": train_speed.augmentation,
    "freezing": train_costs.freezing,
    "features": train_speed.features,
    "startup": train_costs.startup,
    "memory": train_costs.memory,
    "heap": train_costs.heap,
    "bfloat16": train_speed.bfloat16,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py train`."""
    parser.add_argument(
        "--sections", nargs="+", default=list(SECTIONS), choices=SECTIONS, help="parts to run"
    )
    parser.add_argument("--zip", type=Path, help="zip of face images (default: drawn faces)")
    parser.add_argument(
        "--images",
        type=int,
        default=96,
        help="training images, and a third of that for validation (default: %(default)s)",
    )
    parser.add_argument(
        "--run-images",
        type=int,
        default=576,
        help="training images for the sections features and bfloat16 (default: %(default)s)",
    )
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS, help="backbones")
    parser.add_argument(
        "--arch",
        default="efficientnetb0",
        choices=ARCHS,
        help="backbone of features, startup and bfloat16 (default: %(default)s)",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        type=int,
        default=[0, 1, 7, 9],
        help="variants of workflow, memory and heap",
    )
    parser.add_argument("--size", type=int, default=96, help="image size, pixels")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default: %(default)s)")
    parser.add_argument(
        "--large-variants", nargs="*", type=int, default=[9], help="variants of workflow at 224 px"
    )
    parser.add_argument("--large-batch", type=int, default=8, help="batch size at 224 px")
    parser.add_argument(
        "--steps", type=int, default=2, help="steps at 224 px, of memory, heap and bfloat16"
    )
    parser.add_argument(
        "--levels",
        nargs="+",
        default=["0", "1", "all"],
        choices=UNFREEZE,
        help="unfreeze levels of freezing",
    )


def run(options: argparse.Namespace) -> None:
    """Runs the sections and prints results as they are measured.

    Raises:
        UserError: If there is no zip at --zip, or it has too few images.
        AssertionError: If two results that must be equal differ.
    """
    with tempfile.TemporaryDirectory() as name:
        benchmark = TrainBenchmark(options, Path(name))
        for section in options.sections:
            print(f"\n== {section}", flush=True)
            SECTIONS[section](benchmark)
