"""What the demo and the API tell of the network that answers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faceemo
from faceemo.inference.prediction import UNSURE_BELOW
from faceemo.inference.serve.answers import About, Caps, Score
from faceemo.inference.serve.content import NAMES
from faceemo.inference.serve.limits import Limits
from faceemo.inference.trained import Trained


def about(trained: Trained, limits: Limits, summary: Mapping[str, Any]) -> About:
    """The facts.

    Args:
        trained: the network.
        limits: of pictures.
        summary: of `read_summary`.
    """
    config = trained.config
    score = None
    if "val_accuracy_interval" in summary:
        score = Score(
            accuracy=summary["val_accuracy"],
            interval=summary["val_accuracy_interval"],
            majority_baseline=summary["majority_baseline"],
        )
    return About(
        name=f"{config.arch}:{config.variant}",
        classes=list(trained.classes),
        image_size=config.image_size,
        native_size=config.native_size,
        trained_on="drawn faces" if config.dataset == "sample" else "images of its user",
        temperature=trained.temperature,
        unsure_below=UNSURE_BELOW,
        face_threshold=config.face_threshold,
        validation=score,
        limits=Caps(bytes=limits.bytes, pixels=limits.pixels, formats=NAMES),
        version=faceemo.__version__,
    )


def read_summary(run: Path) -> dict[str, Any]:
    """The results of a finished run; nothing of a file that was stored without them."""
    path = run / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
