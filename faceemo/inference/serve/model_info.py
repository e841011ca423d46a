"""Facts about the network that the demo and the API show."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faceemo
from faceemo.analysis import card
from faceemo.inference.prediction import UNSURE_BELOW
from faceemo.inference.serve.decode_upload import FORMAT_NAMES
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.schemas import ModelInfo, UploadLimits, ValidationScore
from faceemo.train.checkpoint import image_terms
from faceemo.train.checkpoint.model_file import resolve_builtin
from faceemo.train.checkpoint.network_facts import NetworkFacts
from faceemo.train.checkpoint.provenance import find_other_images


def make_model_info(
    network: NetworkFacts,
    limits: Limits,
    summary: Mapping[str, Any],
    source: str | None,
    face_threshold: float,
    engine: str,
) -> ModelInfo:
    """Collects the facts.

    Args:
        network: The network.
        limits: Limits on uploaded images.
        summary: Results of the run, see `read_summary`.
        source: Source of the training images, see `read_source`.
        face_threshold: Confidence above which a detection is a face.
        engine: What runs the network.
    """
    config = network.config
    images = (
        "drawn faces" if config.dataset == "sample" else source or "images supplied by its user"
    )
    others = [
        terms or "images whose source is not recorded"
        for terms in find_other_images(network.recipe).values()
    ]
    score = None
    if "val_accuracy_interval" in summary:
        score = ValidationScore(
            accuracy=summary["val_accuracy"],
            interval=summary["val_accuracy_interval"],
            majority_baseline=summary["majority_baseline"],
        )
    return ModelInfo(
        name=f"{config.arch}:{config.variant}",
        classes=list(network.classes),
        image_size=config.image_size,
        native_size=config.native_size,
        channels=config.channels,
        trained_on="; before that, or through teachers, on: ".join([images, *others]),
        temperature=network.temperature,
        unsure_below=UNSURE_BELOW,
        face_threshold=face_threshold,
        validation=score,
        limits=UploadLimits(
            bytes=limits.max_bytes,
            pixels=limits.max_pixels,
            formats=FORMAT_NAMES,
            files=limits.max_files,
            film_bytes=limits.max_film_bytes,
        ),
        engine=engine,
        version=faceemo.__version__,
    )


def read_summary(run: Path) -> dict[str, Any]:
    """Reads the results of a run from its summary, or from the card beside a stored network.

    Returns:
        The summary, or what `card.read_validation` returns.
    """
    folder = _find_folder(run)
    path = folder / "summary.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    return card.read_validation(folder / card.NAME)


def read_source(run: Path) -> str | None:
    """Reads the source of the training images, as their owner states it, from the run's card."""
    return image_terms.read_card(_find_folder(run) / image_terms.CARD)


def _find_folder(run: Path) -> Path:
    """Returns the folder of a run, or the one that holds a stored network."""
    path = resolve_builtin(run)
    return path if path.is_dir() else path.parent
