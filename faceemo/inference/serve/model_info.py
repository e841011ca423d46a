"""What the demo and the API tell of the network that answers."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faceemo
from faceemo.analysis import card
from faceemo.inference.prediction import UNSURE_BELOW
from faceemo.inference.serve.decode_upload import NAMES
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.schemas import About, Caps, Score
from faceemo.inference.trained import Trained, place


def about(
    trained: Trained, limits: Limits, summary: Mapping[str, Any], source: str | None
) -> About:
    """The facts.

    Args:
        trained: the network.
        limits: of pictures.
        summary: of `read_summary`.
        source: of `read_source`.
    """
    config = trained.config
    drawn = config.dataset == "sample"
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
        trained_on="drawn faces" if drawn else source or "images of its user",
        temperature=trained.temperature,
        unsure_below=UNSURE_BELOW,
        face_threshold=config.face_threshold,
        validation=score,
        limits=Caps(bytes=limits.bytes, pixels=limits.pixels, formats=NAMES),
        version=faceemo.__version__,
    )


def read_summary(run: Path) -> dict[str, Any]:
    """The results of a finished run; nothing of a file that was stored without them."""
    path = place(run) / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def read_source(run: Path) -> str | None:
    """What the owner of the training images says of them, as the card quotes it; None without."""
    folder = place(run)
    path = (folder if folder.is_dir() else folder.parent) / card.NAME
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    found = re.search(rf"^Source.* {re.escape(card.NOTE)} .*?: (.+)$", text, re.MULTILINE)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else None
