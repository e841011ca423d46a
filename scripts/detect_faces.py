"""Sorts the images by whether a face detector finds a face (and unpacks them, if need be).

    python scripts/detect_faces.py --data_dir data --threshold 0.5

Fills data/face_detection and data/ledger.jsonl, draws data/pictures/faces.png.
"""

import argparse
from pathlib import Path

from faceemo import errors
from faceemo.data import prepare

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", type=Path, default=Path("data"), help="default: data")
    parser.add_argument(
        "--threshold",
        type=float,
        default=prepare.THRESHOLD,
        help=f"a face where the confidence is above it, 0..1; default: {prepare.THRESHOLD}",
    )
    options = parser.parse_args()
    with errors.reported():
        prepare.prepare(options.data_dir, options.threshold, last="screen")
