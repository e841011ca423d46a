"""The settings in which a run differs from its variant, and groups of runs over seeds."""

import re
from collections.abc import Callable, Iterable, Mapping
from statistics import fmean
from typing import Any, Protocol, TypeVar

from faceemo.config import FORMER_DEFAULTS, MAY_DIFFER, make_config

# Fields that do not distinguish one recipe from another: they do not affect training, or are the
# seed.
_NOT_IN_RECIPE = (MAY_DIFFER - {"patience", "patience_metric"}) | {"seed"}


class Seeded(Protocol):
    """A run that may be one of several seeds."""

    @property
    def recipe(self) -> str | None:
        """Text from `format_recipe`, or None if unknown."""

    @property
    def seed(self) -> int | None:
        """Seed of initial weights, data order and augmentation, or None if unknown."""


_Run = TypeVar("_Run", bound=Seeded)


def changed_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns {field: value} where a run's configuration differs from its variant's.

    Fields that are missing, as in runs of an older faceemo, had the variant's value, apart from
    `FORMER_DEFAULTS`. Fields that this version does not have are left out.
    """
    variant = make_config(config["arch"], str(config["variant"])).to_dict()
    return {
        field: value
        for field, value in sorted((FORMER_DEFAULTS | dict(config)).items())
        if field in variant and value != variant[field]
    }


def format_changes(config: Mapping[str, Any]) -> str:
    """Formats the changed fields that affect training, without the seed.

    Returns:
        Pairs joined by commas, such as 'image_size=48,policy=strict'; '' if there are none.
    """
    changed = changed_fields(config).items()
    return ",".join(f"{field}={value}" for field, value in changed if field not in _NOT_IN_RECIPE)


def split_changes(changes: str) -> list[str]:
    """Splits the text of `format_changes` into 'field=value' pairs; a value may contain commas."""
    return re.split(r",(?=\w+=)", changes) if changes else []


def format_recipe(model: str, changes: str) -> str:
    """Formats what runs that differ only in the seed have in common.

    Args:
        model: Backbone and variant, such as 'vgg16:7'.
        changes: Text from `format_changes`.
    """
    return ",".join(filter(None, (model, changes)))


def group_by_seed(runs: Iterable[_Run]) -> dict[str, dict[int | None, list[_Run]]]:
    """Groups runs as {recipe: {seed: [run]}}; runs of unknown recipe are left out."""
    groups: dict[str, dict[int | None, list[_Run]]] = {}
    for run in runs:
        if run.recipe is not None:
            groups.setdefault(run.recipe, {}).setdefault(run.seed, []).append(run)
    return groups


def mean_per_seed(
    runs: Mapping[Any, Iterable[_Run]], metric: Callable[[_Run], float]
) -> list[float]:
    """Returns one value per seed, so that repeated runs of one seed do not count as spread.

    Args:
        runs: Runs of one recipe by seed, from `group_by_seed`.
        metric: Returns the value of a run; it is averaged over runs of the same seed.
    """
    return [fmean(map(metric, same_seed)) for same_seed in runs.values()]
