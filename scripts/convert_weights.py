"""Reads pretrained weights of a backbone, prints a report on them, and writes them as .npz.

    python scripts/convert_weights.py --arch vgg16 --h5 my_weights.h5 --out my_weights.npz

Reads Keras's HDF5 files (legacy, Keras 3 and .keras), .npz files written by faceemo, or weights
that faceemo downloads by name, such as 'imagenet'. To train from the result, give
--config.weights=my_weights.npz.
"""

import itertools
from pathlib import Path

from faceemo import errors
from faceemo.commands.parser import Parser
from faceemo.config import ARCHS
from faceemo.config.backbones import BACKBONES
from faceemo.models import conversion


def main() -> None:
    """Converts the weights and prints the report."""
    parser = Parser(description=__doc__)
    parser.add_argument("--arch", required=True, choices=ARCHS)
    names = dict.fromkeys(itertools.chain(*(facts.weights for facts in BACKBONES.values())))
    parser.add_argument(
        "--h5",
        required=True,
        help=f"a file, or a name: {', '.join(name for name in names if name != 'none')}",
    )
    parser.add_argument("--out", type=Path, help=".npz file to write; without it, only reports")
    options = parser.parse_args()
    with errors.reported():
        print(conversion.convert(options.arch, options.h5, options.out))


if __name__ == "__main__":
    main()
