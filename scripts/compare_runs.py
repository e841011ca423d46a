"""Compares runs on the same images: is the difference in accuracy more than chance?

    python scripts/compare_runs.py checkpoints/vgg16-7 checkpoints/resnet50v2-8
    python scripts/compare_runs.py A B --split test
    python scripts/compare_runs.py a/predictions.csv b/predictions.csv

Reads the report's predictions.csv of each run. Two runs are told apart by McNemar's test (exact
where fewer than 25 images tell them apart, else chi-squared with the continuity correction), and
their difference gets Agresti and Min's interval. Of runs that differ in the seed alone, the mean
and the spread are shown too. Runs on other images, or other labels, are refused.
"""

import argparse
from pathlib import Path

from faceemo import errors
from faceemo.config import SPLITS
from faceemo.experiments import compare

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path, help="folder of a run, or a predictions.csv")
    parser.add_argument("others", type=Path, nargs="+", help="one or more to compare with it")
    parser.add_argument("--split", choices=SPLITS[1:], default="validation", help="%(default)s")
    options = parser.parse_args()
    with errors.reported():
        runs = [compare.read(place, options.split) for place in (options.first, *options.others)]
        compare.refuse_other_images(runs)
        print(compare.text(runs))
