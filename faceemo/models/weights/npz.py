"""Reads and writes faceemo's own weight files: .npz with a description of the arrays.

Keras's files hold arrays alone, without the preprocessing that they expect. Here it is stored with
them, as JSON under 'about'. Two kinds of file are packed here: a backbone to train from
('LAYER/WEIGHT', this module), and a whole trained network
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
from faceemo.config.field_words import spell
from faceemo.errors import UserError
from faceemo.models.preprocessing import Preprocessing
from faceemo.models.weights.mismatches import find_mismatches

SUFFIX = ".npz"
_ABOUT = "about"
# Errors of NumPy and zipfile for a file that is cut off, altered or no .npz, and of reading an
# 'about' of another kind.
_READ_ERRORS = (
    *(OSError, EOFError, KeyError, TypeError, ValueError, AttributeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, MemoryError, RuntimeError),
)


def pack(path: Path, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays and their description, whole or not at all.

    Args:
        path: Path that ends in '.npz'.
        about: Description of the arrays, JSON-serialisable.
        arrays: Arrays by name; none may be named 'about'.
    """
    text = np.array(json.dumps(about))
    with staging.file(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_ABOUT: text}, **arrays)


def unpack(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the description and the arrays that `pack` wrote.

    A flipped byte of an array raises an error (zip's checksum). Call it within `report_damage`.
    """
    # NumPy would advise to unpickle it.
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no .npz file, or is cut off")
    # NumPy leaves a file that it opened itself open if it is damaged.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        about = json.loads(str(file[_ABOUT]))
        return about, {name: file[name] for name in file.files if name != _ABOUT}


@contextlib.contextmanager
def report_damage(path: Path, *, expected: str, fix: str) -> Iterator[None]:
    """Turns any error from reading a damaged or foreign file into a `UserError`.

    Args:
        path: The file.
        expected: Expected content of the file.
        fix: Advice for the user.
    """
    try:
        yield
    except UserError:
        raise
    except _READ_ERRORS as error:
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
    """Writes the weights of a backbone, whole or not at all.

    Args:
        path: Path that ends in '.npz'.
        arch: Name of the backbone.
        arrays: Float32 arrays by 'layer/weight'.
        preprocessing: Preprocessing that the weights expect.
        trained: Recipe of the run that trained them, if faceemo did.
    """
    about = {"arch": arch, "preprocessing": preprocessing.to_dict()}
    pack(path, about | ({"recipe": trained} if trained else {}), arrays)


def read(
    path: Path, arch: str, expected: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, np.ndarray], Preprocessing, dict[str, Any] | None]:
    """Reads the weights of a backbone, also from the file of a whole trained network.

    Args:
        path: The file.
        arch: Name of the backbone.
        expected: Shape of each array by 'layer/weight'.

    Returns:
        Float32 arrays under exactly the names in `expected`; the preprocessing that they expect;
        the recipe of the run that trained them, None if faceemo did not.

    Raises:
        UserError: If the file is damaged or of another kind; otherwise, naming all problems, if it
            is of another backbone, or arrays are missing, left over or of another shape.
    """
    with report_damage(
        path,
        expected="a whole .npz file of scripts/convert_weights.py, or of a trained network",
        fix="convert or store the weights again",
    ):
        about, found = unpack(path)
        recipe = about.get("recipe")
        if "arch" not in about:
            about = about["recipe"] | {"arch": about["recipe"]["config"]["arch"]}
            found = _select_backbone(found)
        made_for, preprocessing = about["arch"], Preprocessing.from_dict(about["preprocessing"])
    problems = find_mismatches(found, expected) if made_for == arch else [f"weights of {made_for}"]
    if made_for == arch and problems and recipe and found.keys() == expected.keys():
        width = recipe["config"].get("width", 1.0)
        raise UserError(
            expected=f"{arch} of the configured width in {path}",
            found=spell("width", width),
            fix="give this width, or the weights of another network",
        )
    if problems:
        raise UserError(
            expected=f"the {len(expected)} arrays of {arch} and nothing else in {path}",
            found="; ".join(problems),
            fix="convert the weights of exactly this backbone",
        )
    return {name: np.asarray(found[name], np.float32) for name in expected}, preprocessing, recipe


def _select_backbone(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Selects the backbone's arrays, and names them 'LAYER/WEIGHT'.

    Args:
        arrays: Arrays by 'COLLECTION/PART/LAYER/WEIGHT'.
    """
    parts = ((name.split("/", 2), array) for name, array in arrays.items())
    return {rest: array for (_, part, rest), array in parts if part == "backbone"}
