"""What the commands that use a trained network take: the network, its search for faces, paths."""

import argparse
import glob
import logging
from collections.abc import Sequence
from pathlib import Path

from faceemo import errors
from faceemo.commands.parser import fraction, positive_float
from faceemo.inference.engine.names import AUTO, ENGINES


def add_network(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that names the network."""
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="the network: a run's folder, such as checkpoints/vgg16-7; a stored model.npz; "
        "or 'builtin', the network that comes with faceemo",
    )


def add_classes(parser: argparse.ArgumentParser) -> None:
    """Adds the option that restricts predictions to some classes."""
    parser.add_argument(
        "--classes",
        type=lambda text: text.split("+"),
        metavar="NAMES",
        help="some of the network's classes, joined by '+': only these are predicted, and their "
        "probabilities add up to 1 (default: all)",
    )


def add_search(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the search for faces and of their check."""
    parser.add_argument(
        "--face-threshold",
        type=fraction,
        metavar="P",
        help="confidence of the face detector above which a detection is a face, from 0 to below 1 "
        "(default: that of the network's training images)",
    )
    parser.add_argument(
        "--min-face",
        type=positive_float,
        metavar="N",
        help="height in pixels, at least 16, of the smallest faces: photos are searched for them, "
        "and smaller ones are left out; large photos take less time with a larger N (default: "
        "search for faces as high as the network's training images, keep smaller ones too)",
    )
    parser.add_argument(
        "--no-face-check",
        dest="check_faces",
        action="store_false",
        help="do not check whether what was found is a face, clear, upright, sharp and large: the "
        "probabilities alone decide which predictions are unsure",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Adds the options about what runs the network."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=AUTO,
        help="what runs the network: jax, or onnx (onnxruntime, on the CPU); auto takes "
        "onnxruntime where it is installed and gives the same probabilities",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="tell which engine runs the network, and why"
    )


def tell_more() -> None:
    """Shows on the terminal what faceemo logs as information."""
    log = logging.getLogger("faceemo")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("faceemo: %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def expand(texts: Sequence[str]) -> list[Path]:
    """Returns the paths that are named or match a pattern.

    Raises:
        UserError: If some do not exist; the message names them all.
    """
    found: list[Path] = []
    missing = []
    for text in texts:
        # not pathlib, which takes no absolute patterns
        paths = [text] if Path(text).exists() else sorted(glob.glob(text, recursive=True))  # noqa: PTH207
        found += map(Path, paths)
        missing += [] if paths else [text]
    if missing:
        raise errors.UserError(
            expected="existing files or folders, or patterns that match some",
            found=f"nothing at {', '.join(missing)}",
            fix="correct these paths",
        )
    return found
