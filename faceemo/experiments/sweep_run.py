"""One run of a sweep: its configuration, its folder, its command, and whether it is finished."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.config import MAY_DIFFER, field_words, make_config
from faceemo.config.image_format import list_automatic
from faceemo.train.checkpoint import progress
from faceemo.train.checkpoint.checkpoints import read_history


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a sweep.

    Attributes:
        config: The run's configuration.
        arg: The same as text, for `--config configs/ARCH.py:ARG`.
        workdir: The run's folder.
        fields: Fields that are set beside those in `arg`, whose values may contain commas.
    """

    config: ConfigDict
    arg: str
    workdir: Path
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.workdir.name

    def command(self, configs: Path) -> list[str]:
        """Returns the command that trains it, given the folder of the configuration files."""
        file = f"{configs / self.config.arch}.py:{self.arg}"
        return [
            *(sys.executable, "-m", "faceemo.main"),
            *(f"--config={file}", f"--workdir={self.workdir}"),
            *(word for pair in self.fields.items() for word in field_words.as_flag(*pair)),
        ]

    def is_finished(self) -> bool:
        """Returns whether this exact configuration, including images and epochs, is done."""
        history = read_history(self.workdir)
        if not history or not (summary := self.read_summary()):
            return False
        # Fields that were added after the run was made had their default in it.
        recorded = make_config(self.config.arch).to_dict() | summary["config"]
        # The run recorded what it found for an automatic value.
        ignored = (MAY_DIFFER - {"data_dir", "source", "votes"}) | {*list_automatic(self.config)}
        return progress.is_finished(history, self.config) and all(
            recorded[field] == value for field, value in self.config.items() if field not in ignored
        )

    def read_summary(self) -> dict[str, Any] | None:
        """Reads the run's summary.json, which it writes at its end; None if there is none."""
        path = self.workdir / "summary.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
