"""What the user wants of the images: where they come from, which classes, which splits to make."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.config import CLASSES, class_map_of, classes_of, make_config, validate

# The fields of the configuration that are asked for, as the scripts' options too.
_FIELDS = ("source", "classes", "class_map", "validation_share", "test_share", "split_seed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """The part of a configuration that decides which images there are, and in which split."""

    source: Path | None = None  # a zip, a folder or a csv; None looks into the dataset's folder
    classes: tuple[str, ...] = CLASSES
    class_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    validation_share: float = 0.1  # of train, where the source has no validation split
    test_share: float = 0.0  # of train, where the source has no test split; 0 makes none
    split_seed: int = 1991921  # of the splits that are made

    def shares(self, lacking: Sequence[str]) -> dict[str, float]:
        """How much of train goes into each split that the source lacks."""
        shares = {"validation": self.validation_share, "test": self.test_share}
        return {split: shares[split] for split in lacking if shares[split]}

    def record(self, lacking: Sequence[str]) -> dict[str, Any]:
        """What decides about the images of a source that lacks these splits, as JSON."""
        shares = self.shares(lacking)
        return {
            "classes": list(self.classes),
            "class_map": dict(self.class_map),
            "made": shares | {"seed": self.split_seed} if shares else {},
        }


def of_config(config: ConfigDict) -> Selection:
    """What `config` asks for."""
    return Selection(
        source=Path(config.source) if config.source else None,
        classes=classes_of(config),
        class_map=class_map_of(config),
        validation_share=config.validation_share,
        test_share=config.test_share,
        split_seed=config.split_seed,
    )


def of_record(record: Mapping[str, Any]) -> Selection:
    """What a `Selection.record` was made from, as far as it mattered; the defaults for {}."""
    if "classes" not in record:
        return Selection()
    made = dict(record["made"])
    changes = {"split_seed": made.pop("seed")} if made else {}
    shares = {f"{split}_share": share for split, share in made.items()}
    classes, class_map = tuple(record["classes"]), record["class_map"]
    return Selection(classes=classes, class_map=class_map, **shares, **changes)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Gives a script the options of `of_options`, with the configuration's names."""
    defaults = make_config("vgg16")
    group = parser.add_argument_group("the images (default: as they were prepared before)")
    group.add_argument("--data_dir", type=Path, default=Path("data"), help="default: data")
    helps = {
        "source": "the zip, folder or csv, if it is not in data_dir",
        "classes": f"joined by '+'; at first {defaults.classes}",
        "class_map": "what the source's names mean: 'happiness=happy+joy=happy'",
        "validation_share": "of train, where there is no validation split; at first "
        f"{defaults.validation_share:g}",
        "test_share": "of train, where there is no test split; at first none",
        "split_seed": "of the splits that are made so",
    }
    for field in _FIELDS:
        group.add_argument(f"--{field}", type=type(defaults[field]), help=helps[field])


def of_options(options: argparse.Namespace) -> Selection | None:
    """What a script's options ask for; None if they ask for nothing in particular.

    Raises:
        UserError: if one of them is out of its range.
    """
    given = {field: getattr(options, field) for field in _FIELDS}
    given = {field: value for field, value in given.items() if value is not None}
    if not given:
        return None
    config = make_config("vgg16")
    config.update(given)
    return of_config(validate(config))
