"""Sorts the images by whether a face detector finds a face (and unpacks them, if need be).

    python scripts/detect_faces.py --data_dir data --face_threshold 0.5

Measures every image once, fills data/face_detection and data/ledger.jsonl, and draws
data/pictures/faces.png. Another threshold is judged from the ledger, in seconds.
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
        prepare.prepare(options.data_dir, rules.of_options(options), "screen", exact=options.exact)
