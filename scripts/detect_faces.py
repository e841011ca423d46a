"""Sorts the images by whether a face detector finds a face (and unpacks them, if need be).

    python scripts/detect_faces.py --data_dir data --threshold 0.5

Fills data/face_detection and data/ledger.jsonl, draws data/pictures/faces.png.
"""

import argparse

from faceemo import errors
from faceemo.data import prepare, wanted

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wanted.add_arguments(parser)
    parser.add_argument(
        "--threshold",
        type=float,
        default=prepare.THRESHOLD,
        help=f"a face where the confidence is above it, 0..1; default: {prepare.THRESHOLD}",
    )
    options = parser.parse_args()
    with errors.reported():
        asked = wanted.of_options(options)
        prepare.prepare(options.data_dir, options.threshold, last="screen", wanted=asked)
