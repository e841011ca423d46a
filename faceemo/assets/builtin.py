"""The trained network that comes with faceemo: its name and its place in the package."""

from pathlib import Path

import faceemo

# Stands for the path of a run, and for initial weights of MobileNet.
NAME = "builtin"
FOLDER = Path(faceemo.__file__).parent / "inference" / NAME
FILE = FOLDER / "model.npz"
# Hashes of the images that it was trained on (`faceemo.data.ledger.training_hashes`).
TRAINING_HASHES = FOLDER / "training_hashes.npz"
