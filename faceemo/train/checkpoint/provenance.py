"""What a run's weights mean: the record that goes with every checkpoint."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from faceemo.data.pipeline import Split
from faceemo.models.preprocessing import Preprocessing

_VERSIONED = ("faceemo", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def make_recipe(
    config: ConfigDict,
    preprocessing: Preprocessing,
    weights: Mapping[str, Any],
    splits: Mapping[str, Split],
    teachers: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A JSON-able record of everything that shaped a run.

    Args:
        config: of the run.
        preprocessing: that belongs to the weights.
        weights: where the initial weights came from, of `faceemo.models.load_weights`.
        splits: the images that training and validation see.
        teachers: `faceemo.train.distillation.Teacher.record` of each.
    """
    # Under a schedule that ends with them, the number of epochs shapes every step.
    horizon = {} if config.schedule == "constant" else {"schedule_epochs": config.epochs}
    return {
        "config": config.to_dict(),
        "classes": list(splits["train"].classes),
        "preprocessing": preprocessing.to_dict(),
        "weights": dict(weights),
        "data": {name: digest(splits[name]) for name in ("train", "validation")},
        **horizon,
        **({"teachers": list(teachers)} if teachers else {}),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _VERSIONED},
        },
    }


def ancestors(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recipes of the runs that the initial weights come from, the latest first.

    Args:
        recipe: of `make_recipe`.
    """
    found = []
    while trained := recipe["weights"].get("trained"):
        found.append(recipe := trained)
    return found


def inherited_images(recipe: Mapping[str, Any]) -> str | None:
    """Why validation and test may be no judges of this run: what it learns from may have seen them.

    Args:
        recipe: of `make_recipe`.

    Returns:
        a warning; None if every run behind its initial weights and its teachers trained on the very
        images that this one does.
    """
    own = recipe["data"]["train"]
    strangers = [
        source["source"]
        for source in _sources(recipe)
        if any(run["data"]["train"] != own for run in _behind(source))
    ]
    if not strangers:
        return None
    return (
        f"{' and '.join(strangers)}, from which this run learns, learned from other images than it "
        "does. Where these are among its validation or test images, its accuracy on them is too "
        "high: split the images as that run did, or make sure that they are others"
    )


def _sources(recipe: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Initial weights and teachers, as the recipe names them."""
    return [recipe["weights"], *recipe.get("teachers", ())]


def _behind(source: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The recipes of the run that a source comes from, and of all behind that one."""
    if trained := source.get("trained"):
        yield trained
        for earlier in _sources(trained):
            yield from _behind(earlier)


def digest(split: Split) -> str:
    """sha256 of a split's pixels and labels, in hex."""
    total = hashlib.sha256(split.images.tobytes())
    total.update(split.labels.tobytes())
    return total.hexdigest()
