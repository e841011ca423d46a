"""faceemo's own files of weights: a .npz with what its arrays mean written beside them.

Keras's files hold arrays alone; which input they expect is known only to whoever made them. Here it
is written down, as JSON under 'about'. There are two kinds, both packed here: a backbone to train
from ('LAYER/WEIGHT', this module), and a whole trained network
(`faceemo.train.checkpoint.trained_model`).
"""

import contextlib
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from faceemo import staging
from faceemo.errors import UserError
from faceemo.models.preprocessing import Preprocessing
from faceemo.models.weights import keras_h5

SUFFIX = ".npz"
_ABOUT = "about"
# What NumPy and zipfile make of a file that is cut off, altered or something else, and what reading
# 'about' makes of one that is another kind's.
_DAMAGED = (
    *(OSError, EOFError, KeyError, TypeError, ValueError, AttributeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, MemoryError, RuntimeError),
)


def pack(path: Path, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a file, whole or not at all.

    Args:
        path: ends in '.npz'.
        about: JSON-able; what the arrays mean.
        arrays: by name, none of them 'about'.
    """
    text = np.array(json.dumps(about))
    with staging.file(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_ABOUT: text}, **arrays)


def unpack(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `pack` was given: what the arrays mean, and the arrays as they were stored.

    A flipped byte of an array is an error (zip's checksum); for use within `refused`.
    """
    # NumPy leaves a file that it opened itself open if it is no zip.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        about = json.loads(str(file[_ABOUT]))
        return about, {name: file[name] for name in file.files if name != _ABOUT}


@contextlib.contextmanager
def refused(path: Path, *, expected: str, fix: str) -> Iterator[None]:
    """Makes a `UserError` of whatever reading a damaged or foreign file raises."""
    try:
        yield
    except UserError:
        raise
    except _DAMAGED as error:
        reason = " ".join(f"{error}".split())[:200] or type(error).__name__
        raise UserError(
            expected=expected, found=f"{path}, which cannot be read ({reason})", fix=fix
        ) from error


def write(
    path: Path,
    arch: str,
    arrays: Mapping[str, np.ndarray],
    preprocessing: Preprocessing,
    trained: Mapping[str, Any] | None = None,
) -> None:
    """Writes a backbone's file, whole or not at all.

    Args:
        path: ends in '.npz'.
        arch: name of the backbone.
        arrays: float32, by 'layer/weight'.
        preprocessing: what the weights expect of their input.
        trained: recipe of the run that they come from, if faceemo trained them.
    """
    about = {"arch": arch, "preprocessing": preprocessing.to_dict()}
    pack(path, about | ({"recipe": trained} if trained else {}), arrays)


def read(
    path: Path, arch: str, expected: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, np.ndarray], Preprocessing, dict[str, Any] | None]:
    """What training can start from.

    Of a whole trained network that is its backbone; the head, which knows classes, stays behind.

    Returns:
        The arrays under exactly the names in `expected`, float32; what input they expect; the
        recipe of the run that they come from, None if faceemo did not train them.

    Raises:
        UserError: if the file is damaged or neither was written by `write` nor is a trained
            network; else, naming all problems, if it is of another backbone, or arrays are
            missing, left over or of another shape.
    """
    with refused(
        path,
        expected="a whole .npz file of scripts/convert_weights.py, or of a trained network",
        fix="convert or store the weights again",
    ):
        about, found = unpack(path)
        recipe = about.get("recipe")
        if "arch" not in about:
            about = about["recipe"] | {"arch": about["recipe"]["config"]["arch"]}
            found = _backbone(found)
        made_for, spec = about["arch"], Preprocessing.from_dict(about["preprocessing"])
    same = made_for == arch
    problems = keras_h5.misfits(found, expected) if same else [f"weights of {made_for}"]
    if problems:
        raise UserError(
            expected=f"the {len(expected)} arrays of {arch} and nothing else in {path}",
            found="; ".join(problems),
            fix="convert the weights of exactly this backbone",
        )
    return {name: np.asarray(found[name], np.float32) for name in expected}, spec, recipe


def _backbone(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of 'COLLECTION/PART/LAYER/WEIGHT', what belongs to the backbone, by 'LAYER/WEIGHT'."""
    parts = ((name.split("/", 2), array) for name, array in arrays.items())
    return {rest: array for (_, part, rest), array in parts if part == "backbone"}
