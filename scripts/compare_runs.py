"""Tests whether runs differ significantly in accuracy on the same images.

    python scripts/compare_runs.py checkpoints/vgg16-7 checkpoints/resnet50v2-8
    python scripts/compare_runs.py A B --split test
    python scripts/compare_runs.py a/predictions.csv b/predictions.csv

Reads the report's predictions.csv of each run. Each pair of runs is compared by McNemar's test (the
exact one if fewer than 25 images are right in one run only, otherwise chi-squared with continuity
correction), with Agresti and Min's interval for the difference. For runs that differ only in the
seed, mean and spread are shown too. Runs on different images or with different labels are refused.
"""

import argparse
from pathlib import Path

from faceemo import errors
from faceemo.config import SPLITS
from faceemo.experiments import compare

if __name__ == "__main__":
    parser = errors.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path, help="a run's folder, or a predictions.csv")
    parser.add_argument("others", type=Path, nargs="+", help="one or more runs to compare with it")
    parser.add_argument(
        "--split",
        choices=SPLITS[1:],
        default="validation",
        help="split whose report is read (default: %(default)s)",
    )
    options = parser.parse_args()
    with errors.reported():
        runs = [compare.read_run(path, options.split) for path in (options.first, *options.others)]
        compare.refuse_different_images(runs)
        print(compare.format_comparison(runs))
