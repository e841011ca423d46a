"""The faces on which an exported file is compared with its network, and int8 is calibrated."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from faceemo import data
from faceemo.errors import UserError
from faceemo.inference.export.drawn import draw_faces
from faceemo.inference.images import load_images
from faceemo.inference.inputs import find_images
from faceemo.inference.predictor import Predictor

# In a dataset's folder, see `faceemo.data.prepare.folders`, which needs packages for training.
_TRAINING_IMAGES = Path("unique_images", "train")
_COMPARED_FACES = 32
_CALIBRATION_FACES, _MIN_CALIBRATION_FACES = 256, 32


def choose_faces(
    predictor: Predictor, inputs: Sequence[Path], calibrated: str | None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Chooses the faces to compare on and those to calibrate on, in the network's format.

    Args:
        predictor: The network's predictor.
        inputs: Images of faces, or folders of them; none for drawn faces, or where a precision is
            calibrated, for the run's training images.
        calibrated: The precision that is calibrated, or None.

    Returns:
        Both, of which the second are none unless a precision is calibrated; and the kind of
        faces that the first are.

    Raises:
        UserError: If no image can be read, or there are too few to calibrate on.
    """
    form = predictor.network.image_format
    if calibrated is None:
        none = np.zeros((0, *form.shape), np.uint8)
        if inputs:
            return _load_faces(predictor, inputs, _COMPARED_FACES), none, "faces"
        return draw_faces(_COMPARED_FACES, form), none, "drawn faces"
    config = predictor.network.config
    folder = data.dataset_root(config) / _TRAINING_IMAGES
    if not inputs and not folder.is_dir():
        raise UserError(
            expected=f"faces on which {calibrated} is calibrated",
            found=f"no --faces, and no training images in {folder}",
            fix="name a folder of face crops with --faces",
        )
    # the others are all that is calibrated on
    every = 1 + _CALIBRATION_FACES // _COMPARED_FACES
    faces = _load_faces(predictor, inputs or [folder], every * _COMPARED_FACES)
    compared = np.arange(len(faces)) % every == 0
    if len(faces) < _MIN_CALIBRATION_FACES:
        raise UserError(
            expected=f"at least {_MIN_CALIBRATION_FACES} faces on which {calibrated} is calibrated",
            found=f"{len(faces)}",
            fix="name a folder of more face crops with --faces",
        )
    return faces[compared], faces[~compared], "other faces"


def _load_faces(predictor: Predictor, inputs: Sequence[Path], limit: int) -> np.ndarray:
    """Loads up to `limit` images, spread evenly over the inputs, in the network's format.

    Raises:
        UserError: If no image can be read.
    """
    files = find_images(inputs)
    count = min(len(files), limit)
    images = load_images([files[number * len(files) // count] for number in range(count)])
    crops = [predictor.finder.take_whole(one.pixels).crop for one in images if one.pixels]
    if not crops:
        raise UserError(
            expected="images of faces to compare the file and the network on",
            found="none that can be read",
            fix="name some with --faces, such as data/unique_images/validation",
        )
    return np.stack(crops)
