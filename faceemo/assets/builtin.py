"""The trained networks that come with faceemo: their names and their places in the package."""

from pathlib import Path

import faceemo

# Each stands for the path of a run, and for initial weights of MobileNet.
NAME = "builtin"  # eight emotions, trained on the votes of FER+
SMALL = "builtin-small"  # eight emotions, learned from the first one on the same images
FOUR = "builtin-four"  # four emotions, trained on labels of FER2013 in the study's splits
_PLACE = Path(faceemo.__file__).parent / "inference"
FOLDERS = {
    NAME: _PLACE / "builtin",
    SMALL: _PLACE / "builtin_small",
    FOUR: _PLACE / "builtin_four",
}
IMAGE_SIZES = {NAME: 112, SMALL: 64, FOUR: 128}  # side to which each enlarges faces, pixels


def model_file(name: str) -> Path:
    """Returns the file of a network, for its name in `FOLDERS`."""
    return FOLDERS[name] / "model.npz"


def hashes_file(name: str) -> Path:
    """Returns the file with the hashes of a network's training images.

    `faceemo.data.ledger.training_hashes` reads it.

    Args:
        name: The network's name in `FOLDERS`.
    """
    # one file for the two that learned from the same images
    return FOLDERS[NAME if name == SMALL else name] / "training_hashes.npz"
