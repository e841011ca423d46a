"""Keeps one image of each group of duplicates (and does the steps before, if need be).

    python scripts/remove_duplicates.py --data_dir data
    python scripts/remove_duplicates.py --data_dir data --policy strict --near_distance 2
    python scripts/remove_duplicates.py --data_dir data --policy keep    # undoes it: all images

Fills data/unique_images and data/ledger.jsonl, draws data/pictures/{kept_and_left_out,
conflicting_labels,leaks}.png, and reports what leaks between the splits. Nothing is deleted: other
rules are judged from the ledger, in seconds, and the same rules always give the same files.
"""

from faceemo.data.prepare import cli

if __name__ == "__main__":
    cli.run(__doc__, "dedupe")
