"""Removes duplicates, and groups whose labels disagree; runs the earlier steps first if needed.

    python scripts/remove_duplicates.py --data_dir data
    python scripts/remove_duplicates.py --data_dir data --policy strict --near_distance 2
    python scripts/remove_duplicates.py --data_dir data --policy keep    # keeps all images

Fills data/unique_images and data/ledger.jsonl, draws data/pictures/{kept_and_left_out,
conflicting_labels,leaks}.png, and reports leaks between the splits. No image is deleted: other
rules are then applied from the ledger within seconds. The same rules always give the same files.
"""

from faceemo.data.prepare import cli

if __name__ == "__main__":
    cli.run(__doc__, "dedupe")
