"""Emotions in face images by transfer learning, in JAX and Flax."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceemo.inference.predictor import Predictor

__version__ = "0.1.0"


def load(
    path: str | Path = "builtin",
    *,
    face_threshold: float | None = None,
    min_face: float | None = None,
    classes: "Sequence[str] | None" = None,
    engine: str = "auto",
    check_faces: bool = True,
    search_interval: float = 0.2,
) -> "Predictor":
    """Loads a predictor with the best weights of a run, or with the network that is built in.

    See `faceemo.inference.predictor.load` for `face_threshold` and `min_face`, which decide what
    counts as a face in a photo, for `classes`, to which predictions can be restricted, and for
    `engine`, which runs the network: 'auto', 'jax' or 'onnx'. With `check_faces`, faces that are
    unclear, turned, blurred or too small are doubted. Films are searched for faces after every
    `search_interval` seconds, and those that are found are followed in between.
    """
    # Its imports take time, which `import faceemo` need not wait for.
    from faceemo.inference import predictor

    return predictor.load(
        path,
        face_threshold=face_threshold,
        min_face=min_face,
        classes=classes,
        engine=engine,
        check_faces=check_faces,
        search_interval=search_interval,
    )
