"""The recipe of a run: the record, stored with every checkpoint, of what its weights mean."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from faceemo.config import classes_of
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.pipeline import Split
from faceemo.data.votes.counting import DISTRIBUTION, SAMPLED
from faceemo.models.layers import onednn
from faceemo.models.layers.extension import calls
from faceemo.models.preprocessing import Preprocessing
from faceemo.train.checkpoint import image_terms

# Holds the digest of the votes that a run's targets are made of; other runs do not have the field.
VOTE_SHARES = "vote_shares"
# Names the library of a run's convolutions; runs with XLA's or the extension's do not have it.
CONVOLUTIONS = "convolutions"
ONEDNN = "onednn"
# Names the library of a run's sums over images, and of all else that the extension computes; runs
# with XLA alone do not have it.
SUMS = "sums"
EXTENSION = "extension"
_VERSIONED = ("faceemo", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def make_recipe(
    config: ConfigDict,
    preprocessing: Preprocessing,
    weights: Mapping[str, Any],
    splits: Mapping[str, Split],
    teachers: Sequence[Mapping[str, Any]] = (),
    own_terms: str | None = None,
) -> dict[str, Any]:
    """Makes a JSON-serialisable record of everything that shaped a run.

    Args:
        config: The run's configuration.
        preprocessing: The preprocessing that belongs to the weights.
        weights: Origin of the initial weights, see `faceemo.train.start.Start.source`.
        splits: The images of training and validation.
        teachers: One entry per teacher, see `faceemo.train.distillation.Teacher.to_dict`.
        own_terms: Source and terms of the run's own images, see `image_terms.read_own`.
    """
    digests = {name: digest_split(splits[name]) for name in ("train", "validation")}
    terms = image_terms.collect([weights, *teachers])
    terms |= {digests["train"]: own_terms} if own_terms else {}
    return {
        **describe_configuration(config),
        "classes": list(splits["train"].classes),
        "preprocessing": preprocessing.to_dict(),
        "weights": dict(weights),
        "data": digests,
        **_digest_votes(config, splits["train"]),
        **({"teachers": list(teachers)} if teachers else {}),
        **({image_terms.FIELD: terms} if terms else {}),
        **({CONVOLUTIONS: ONEDNN} if onednn.in_use() else {}),
        **({SUMS: EXTENSION} if calls.in_use() else {}),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _VERSIONED},
        },
    }


def describe_configuration(config: ConfigDict) -> dict[str, Any]:
    """Returns the part of a recipe that follows from the configuration alone."""
    # The length of a schedule shapes every step.
    horizon = {} if config.schedule == "constant" else {"schedule_epochs": config.epochs}
    return {"config": config.to_dict(), "classes": list(classes_of(config)), **horizon}


def find_ancestors(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the recipes of the runs that the initial weights come from, the latest first.

    Args:
        recipe: `make_recipe`'s result.
    """
    found = []
    while trained := recipe["weights"].get("trained"):
        found.append(recipe := trained)
    return found


def check_inherited_images(recipe: Mapping[str, Any]) -> str | None:
    """Returns a warning if weights or teachers may have seen this run's validation or test images.

    Args:
        recipe: `make_recipe`'s result.

    Returns:
        The warning; None if every run behind the initial weights and the teachers trained on
        exactly the training images of this run.
    """
    own = recipe["data"]["train"]
    others = [
        source["source"]
        for source in _sources(recipe)
        if any(run["data"]["train"] != own for run in _runs_behind(source))
    ]
    if not others:
        return None
    return (
        f"this run learns from {' and '.join(others)}, which learned from other images. If any of "
        "those are among this run's validation or test images, its accuracy on them is too high: "
        "split the images as before, or make sure that there are none"
    )


def find_other_images(recipe: Mapping[str, Any]) -> dict[str, str | None]:
    """Returns the terms of the images, other than the run's own, that the run learns from.

    Args:
        recipe: `make_recipe`'s result.

    Returns:
        Terms by the digest of the training images of each run behind the initial weights and the
        teachers; None where they are not recorded.
    """
    digests = [run["data"]["train"] for one in _sources(recipe) for run in _runs_behind(one)]
    terms = recipe.get(image_terms.FIELD, {})
    return {digest: terms.get(digest) for digest in digests if digest != recipe["data"]["train"]}


def _sources(recipe: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the recipe's entries for its initial weights and its teachers."""
    return [recipe["weights"], *recipe.get("teachers", ())]


def _runs_behind(source: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields the recipes of the run that made a source, and of all runs behind that one."""
    if trained := source.get("trained"):
        yield trained
        for earlier in _sources(trained):
            yield from _runs_behind(earlier)


def digest_split(split: Split) -> str:
    """Computes the sha256 of a split's pixels and labels, in hex, as in recipe['data']."""
    if isinstance(split.images, StoredImages):
        return split.images.labelled_digest
    total = hashlib.sha256(np.ascontiguousarray(split.images).data)  # without a copy in memory
    total.update(split.labels.tobytes())
    return total.hexdigest()


def _digest_votes(config: ConfigDict, train: Split) -> dict[str, str]:
    """Computes the sha256, in hex, of the votes for the classes, if the labels do not tell them."""
    if config.targets not in (DISTRIBUTION, SAMPLED) or train.votes is None:
        return {}
    return {VOTE_SHARES: hashlib.sha256(train.votes.distribution.tobytes()).hexdigest()}
