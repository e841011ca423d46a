"""Emotions in face images by transfer learning, in JAX and Flax."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceemo.inference.predictor import Predictor

__version__ = "0.1.0"


def load(path: str | Path = "builtin") -> "Predictor":
    """A predictor by the best weights of a run, or by the network that comes with faceemo.

    See `faceemo.inference.predictor.load`.
    """
    # JAX takes seconds, which `import faceemo` need not wait for
    from faceemo.inference import predictor

    return predictor.load(path)
