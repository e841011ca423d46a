"""Choices that a command makes for the user: the fields that they set, and their reasons."""

import dataclasses
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from faceemo.config import FIELDS, make_config
from faceemo.config.field_words import as_option

FIELDS_LEFT = "{}"  # in the text of a reason


class Reason(NamedTuple):
    """A reason of a choice, or a fact about the images that led to it.

    Attributes:
        text: The reason. `FIELDS_LEFT` in it stands for its fields that the user did not set.
        fields: The fields that it explains. It is dropped if the user set all of them; a fact
            without fields always remains.
    """

    text: str
    fields: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Choice:
    """A choice: the fields that it sets, and its reasons in words."""

    title: str
    fields: dict[str, Any]
    reasons: tuple[Reason, ...]

    def explain(self, given: Collection[str]) -> str:
        """Returns the reasons that remain beside fields that the user set, on one line.

        Args:
            given: Names of fields that the user set.
        """
        replaced = ", ".join(name for name in self.fields if name in given)
        parts = [f"{replaced} as you gave it"] if replaced else []
        for reason in self.reasons:
            left = [name for name in reason.fields if name not in given]
            if left or not reason.fields:
                parts.append(reason.text.replace(FIELDS_LEFT, " and ".join(left)))
        return "; ".join(parts)


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A configuration for images of one's own.

    Attributes:
        config: The configuration, validated.
        name: Name for the folder of the run.
        choices: The choices in it.
        given: Fields that the user set, which replace choices.
    """

    config: ConfigDict
    name: str
    choices: tuple[Choice, ...]
    given: Mapping[str, Any]

    def explain(self, workdir: Path) -> tuple[str, ...]:
        """Returns a line for each choice, and the command that makes the same run.

        Args:
            workdir: The run's folder.
        """
        return (*self.describe_choices(), f"the same  {' '.join(self._command(workdir))}")

    def describe_choices(self) -> list[str]:
        """Returns a line for each choice."""
        lines = []
        for choice in self.choices:
            fields = " ".join(f"{name}={self.config[name]}" for name in choice.fields)
            lines.append(f"{choice.title:<9} {fields}: {choice.explain(self.given)}")
        return lines

    def _command(self, workdir: Path) -> list[str]:
        plain = make_config(self.config.arch, str(self.config.variant))
        options = [
            word
            for name in FIELDS
            if self.config[name] != plain[name]
            for word in as_option(name, self.config[name])
        ]
        words = [
            "faceemo",
            "train",
            f"{self.config.arch}:{self.config.variant}",
            *options,
            "--workdir",
            str(workdir),
        ]
        return [shlex.quote(word) for word in words]
