"""Reads pretrained weights of a backbone, reports what is in them, and writes them as .npz.

    python scripts/convert_weights.py --arch vgg16 --h5 my_weights.h5 --out my_weights.npz

Takes Keras's HDF5 files (legacy and Keras 3, .keras too), a .npz of faceemo's own, or the name of
an asset ('imagenet', 'hed', 'lite0', 'faceres'). Train on what comes out with
--config.weights=my_weights.npz.
"""

import argparse
from pathlib import Path

from faceemo import errors
from faceemo.config import ARCHS
from faceemo.models import conversion


def main() -> None:
    """Reads the arguments, converts, prints the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", required=True, choices=ARCHS)
    parser.add_argument("--h5", required=True, help="the file, or the name of an asset")
    parser.add_argument("--out", type=Path, help="a .npz to write; without it, only reports")
    options = parser.parse_args()
    with errors.reported():
        print(conversion.convert(options.arch, options.h5, options.out))


if __name__ == "__main__":
    main()
