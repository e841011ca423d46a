"""The user's selection of images: their source, their classes, and the splits to make."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ml_collections import ConfigDict

from faceemo.config import CLASSES, SPLIT_SOURCES, class_map_of, classes_of
from faceemo.data.votes import counting

STANDARD, DRAWN = SPLIT_SOURCES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """The part of a configuration that decides which images there are, and in which split.

    The attributes have the names of the configuration's fields.
    """

    source: Path | None = None  # a zip, a folder or a csv; None searches the dataset's folder
    classes: tuple[str, ...] = CLASSES
    class_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    validation_share: float = 0.1  # of train, if the source has no validation split
    test_share: float = 0.0  # of train, if the source has no test split; 0 makes none
    split_seed: int = 1991921  # of the splits that are made
    votes: Path | None = None  # a table of votes; None takes those that the source has
    targets: str = counting.LABEL
    splits: str = STANDARD

    @classmethod
    def from_config(cls, config: ConfigDict) -> Self:
        """Takes the selection from a run's configuration."""
        return cls(
            source=Path(config.source) if config.source else None,
            classes=classes_of(config),
            class_map=class_map_of(config),
            validation_share=config.validation_share,
            test_share=config.test_share,
            split_seed=config.split_seed,
            votes=Path(config.votes) if config.votes else None,
            targets=config.targets,
            splits=config.splits,
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Restores a selection from `to_record`, without the fields that were not needed.

        Returns:
            The selection; the default for {}.
        """
        if "classes" not in record:
            return cls()
        made = dict(record["made"])
        changes = {"split_seed": made.pop("seed")} if made else {}
        shares = {f"{split}_share": share for split, share in made.items()}
        classes, class_map = tuple(record["classes"]), record["class_map"]
        changes |= {name: record[name] for name in ("targets", "splits") if name in record}
        return cls(classes=classes, class_map=class_map, **shares, **changes)

    @property
    def known_names(self) -> list[str]:
        """The names of the classes, here and in the source."""
        return [*self.classes, *self.class_map]

    def shares(self, missing_splits: Sequence[str]) -> dict[str, float]:
        """Returns the share of train that goes into each split that the source lacks."""
        shares = {"validation": self.validation_share, "test": self.test_share}
        return {split: shares[split] for split in missing_splits if shares[split]}

    def to_record(self, missing_splits: Sequence[str]) -> dict[str, Any]:
        """Returns the settings that affect a source without `missing_splits`, as JSON."""
        shares = self.shares(missing_splits)
        usual = {"targets": counting.LABEL, "splits": STANDARD}  # older records have neither
        return {
            "classes": list(self.classes),
            "class_map": dict(self.class_map),
            "made": shares | {"seed": self.split_seed} if shares else {},
        } | {name: value for name in usual if (value := getattr(self, name)) != usual[name]}
