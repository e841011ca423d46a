"""Keeps one image of each group of duplicates (and does the steps before, if need be).

    python scripts/remove_duplicates.py --data_dir data
    python scripts/remove_duplicates.py --data_dir data --policy strict --near_distance 2
    python scripts/remove_duplicates.py --data_dir data --policy keep    # undoes it: all images

Fills data/unique_images and data/ledger.jsonl, draws data/pictures/{kept_and_left_out,
conflicting_labels,leaks}.png, and reports what leaks between the splits. Nothing is deleted: other
rules are judged from the ledger, in seconds, and the same rules always give the same files.
"""

import argparse
from pathlib import Path

from faceemo import errors
from faceemo.data import prepare, rules

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", type=Path, default=Path("data"), help="default: data")
    parser.add_argument("--exact", action="store_true", help="see every image at 300 pixels")
    rules.add_arguments(parser)
    options = parser.parse_args()
    with errors.reported():
        prepare.prepare(options.data_dir, rules.of_options(options), exact=options.exact)
