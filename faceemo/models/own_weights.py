"""faceemo's own file of backbone weights: a .npz with the preprocessing that belongs to them.

Keras's files hold arrays alone; which input they expect is known only to whoever made them. Here it
is written down, as JSON under 'about', beside the arrays 'LAYER/WEIGHT'.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from faceemo import staging
from faceemo.errors import UserError
from faceemo.models import keras_weights
from faceemo.models.preprocessing import Preprocessing

SUFFIX = ".npz"
_ABOUT = "about"
# What NumPy and zipfile make of a file that is cut off, altered or something else.
_DAMAGED = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)


def write(
    path: Path, arch: str, arrays: Mapping[str, np.ndarray], preprocessing: Preprocessing
) -> None:
    """Writes the file, whole or not at all.

    Args:
        path: ends in '.npz'.
        arch: name of the backbone.
        arrays: float32, by 'layer/weight'.
        preprocessing: what the weights expect of their input.
    """
    about = json.dumps({"arch": arch, "preprocessing": preprocessing.to_dict()})
    with staging.file(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_ABOUT: np.array(about)}, **arrays)


def read(
    path: Path, arch: str, expected: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, np.ndarray], Preprocessing]:
    """The arrays under exactly the names in `expected`, float32, and what input they expect.

    Raises:
        UserError: if the file is damaged or was not written by `write`; else, naming all problems,
            if it is of another backbone, or arrays are missing, left over or of another shape.
    """
    try:
        # NumPy leaves a file that it opened itself open if it is no zip.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            about = json.loads(str(file[_ABOUT]))
            found = {name: file[name] for name in file.files if name != _ABOUT}
        made_for, spec = about["arch"], Preprocessing.from_dict(about["preprocessing"])
    except _DAMAGED as error:
        raise UserError(
            expected="a whole .npz file that scripts/convert_weights.py wrote",
            found=f"{path}, which cannot be read ({error})",
            fix="convert the weights again",
        ) from error
    same = made_for == arch
    problems = keras_weights.misfits(found, expected) if same else [f"weights of {made_for}"]
    if problems:
        raise UserError(
            expected=f"the {len(expected)} arrays of {arch} and nothing else in {path}",
            found="; ".join(problems),
            fix="convert the weights of exactly this backbone",
        )
    return {name: np.asarray(found[name], np.float32) for name in expected}, spec
