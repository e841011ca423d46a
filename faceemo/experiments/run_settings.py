"""What a run sets otherwise than its variant, and which runs differ in nothing but the seed."""

import re
from collections.abc import Callable, Iterable, Mapping
from statistics import fmean
from typing import Any, Protocol, TypeVar

from faceemo.config import MAY_DIFFER, make_config

_SILENT = MAY_DIFFER - {"patience"} | {"seed"}  # they shape no training, or vary it


class Seeded(Protocol):
    """A run that may be one of several seeds."""

    @property
    def recipe(self) -> str | None:
        """Of `recipe`; None where it is not known."""

    @property
    def seed(self) -> int | None:
        """Of initial weights, data order and augmentation."""


_Run = TypeVar("_Run", bound=Seeded)


def changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a run's configuration that differ from its variant's, with their values.

    What an older faceemo's run does not name had the variant's value, and what this one does not
    know is left out.
    """
    plain = make_config(config["arch"], str(config["variant"])).to_dict()
    return {
        field: value
        for field, value in sorted(config.items())
        if field in plain and value != plain[field]
    }


def changes(config: Mapping[str, Any]) -> str:
    """Of `changed` what shapes training, without the seed: 'image_size=48,policy=strict'."""
    found = changed(config).items()
    return ",".join(f"{field}={value}" for field, value in found if field not in _SILENT)


def split(text: str) -> list[str]:
    """'image_size=48,policy=strict' as its pairs; a value may hold commas."""
    return re.split(r",(?=\w+=)", text) if text else []


def recipe(model: str, text: str) -> str:
    """What runs have in common that differ in the seed alone.

    Args:
        model: backbone and variant, 'vgg16:7'.
        text: of `changes`.
    """
    return ",".join(filter(None, (model, text)))


def seeds(runs: Iterable[_Run]) -> dict[str, dict[int | None, list[_Run]]]:
    """The runs by recipe, and those of each by seed; without those whose recipe is not known."""
    found: dict[str, dict[int | None, list[_Run]]] = {}
    for run in runs:
        if run.recipe is not None:
            found.setdefault(run.recipe, {}).setdefault(run.seed, []).append(run)
    return found


def per_seed(runs: Mapping[Any, Iterable[_Run]], value: Callable[[_Run], float]) -> list[float]:
    """One value for each seed: two runs of the same seed tell of no spread, and count as one.

    Args:
        runs: of one recipe, by seed.
        value: of a run.
    """
    return [fmean(map(value, same)) for same in runs.values()]
