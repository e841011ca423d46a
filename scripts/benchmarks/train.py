"""Training beside the original's workflow, and what freezing, caches and bfloat16 bring.

Sections, all by default, each side by side in this run, with medians and spread:

  workflow      whole epochs (reading, augmentation, training, validation; no checkpoints) beside
                Keras on TensorFlow, ImageDataGenerator and model.fit; at 224 px some training steps
  augmentation  a batch at 224 px beside ImageDataGenerator
  freezing      operations, optimiser memory and time of a step per unfreeze level, beside the least
                that arithmetic allows
  features      six epochs of variant 0, checkpoints included: features computed once, from disk,
                not kept, and in Keras; the histories of the first three must be identical
  startup       the first step with an empty and with a filled cache of compiled programs
  memory        of a run of each variant, and the host's share of a step's time
  bfloat16      steps beside float32, and what a run of six epochs ends in

Both sides read the same prepared images and start from random weights. In 'workflow' variant 0
keeps no features, so that both do the same work. Ratios are the other's time over faceemo's: above
1, faceemo is faster.
"""

import argparse
import tempfile
from pathlib import Path

from faceemo.config import ARCHS, UNFREEZE

from . import train_costs, train_speed
from .train_bench import Bench

SECTIONS = {
    "workflow": train_speed.workflow,
    "augmentation": train_speed.augmentation,
    "freezing": train_costs.freezing,
    "features": train_speed.features,
    "startup": train_costs.startup,
    "memory": train_costs.memory,
    "bfloat16": train_speed.bfloat16,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `scripts/benchmark.py train`."""
    parser.add_argument("--sections", nargs="+", default=list(SECTIONS), choices=SECTIONS)
    parser.add_argument("--zip", type=Path, help="of face images; drawn ones by default")
    parser.add_argument(
        "--images", type=int, default=96, help="training images, a third more for validation"
    )
    parser.add_argument(
        "--run_images", type=int, default=576, help="likewise, of features and bfloat16"
    )
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS)
    parser.add_argument(
        "--arch",
        default="efficientnetb0",
        choices=ARCHS,
        help="of 'features', 'startup', 'bfloat16'",
    )
    parser.add_argument("--variants", nargs="+", type=int, default=[0, 1, 7, 9])
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--large_variants", nargs="*", type=int, default=[9], help="of workflow at 224 px"
    )
    parser.add_argument("--large_batch", type=int, default=8, help="images a step at 224 px")
    parser.add_argument("--steps", type=int, default=2, help="at 224 px, of memory and bfloat16")
    parser.add_argument(
        "--levels", nargs="+", default=["0", "1", "all"], choices=UNFREEZE, help="of freezing"
    )


def run(options: argparse.Namespace) -> None:
    """Prints the sections as they are measured.

    Raises:
        UserError: if there is no zip at --zip, or it has too few images.
        AssertionError: if two results differ that must be the same.
    """
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(options, Path(name))
        for section in options.sections:
            print(f"\n== {section}", flush=True)
            SECTIONS[section](bench)
