"""Stores difference hashes of the images that a network was trained on, beside the network.

    python scripts/hash_training_images.py --data-dir data --network builtin

By the hashes `find_suspect_labels.py` recognises images whose labels the network has learned. They
are those of the kept training images of a prepared dataset, and are written only if these are
exactly the images in the network's recipe. The images of the other splits show how many faces the
hashes take for training images by mistake.
"""

from pathlib import Path

import numpy as np

from faceemo import errors
from faceemo.analysis.labels import training_images
from faceemo.assets import builtin
from faceemo.commands.parser import Parser, add_data_dir
from faceemo.data.ledger import ledger
from faceemo.data.ledger.training_hashes import TrainingHashes
from faceemo.data.measure import hashing
from faceemo.train.checkpoint import trained_model


def main() -> None:
    """Writes the hashes and prints where they are."""
    parser = Parser(description=__doc__)
    add_data_dir(parser)
    parser.add_argument(
        "--network",
        type=Path,
        default=Path(builtin.NAME),
        help="folder of a stored network, or 'builtin' (default: %(default)s)",
    )
    options = parser.parse_args()
    with errors.reported():
        network = trained_model.read(options.network)
        digest = network.recipe["data"]["train"]
        form = network.image_format
        if training_images.digest(options.data_dir, network.classes, form) != digest:
            raise errors.UserError(
                expected=f"the training images of {options.network} in {options.data_dir}",
                found="other kept training images, or other labels",
                fix="prepare the data as it was for that network (its policy and thresholds)",
            )
        kept = [
            row
            for row in ledger.read(options.data_dir)
            if row.fate == ledger.KEPT and row.label in network.classes
            if row.dhash is not None  # which only unreadable images lack, and none is kept
        ]
        hashes = hashing.from_hex([str(row.dhash) for row in kept if row.split == "train"])
        others = [row for row in kept if row.split != "train"]
        taken = len(TrainingHashes(digest, hashes, np.zeros(2, int)).find(others))
        folder = trained_model.resolve_builtin(options.network)
        path = folder / builtin.hashes_file(builtin.NAME).name
        TrainingHashes(digest, hashes, np.array([taken, len(others)])).write(path)
        print(f"hashes  {len(hashes):,} in {path}")
        print(f"others  {taken:,} of {len(others):,} other faces are taken for training images")


if __name__ == "__main__":
    main()
