"""What the sections of `train.py` share: options, images, and the programs that they start."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faceemo import data
from faceemo.config import make_config
from faceemo.data import sample

from . import timing
from .data import drawn

OURS, KERAS = "faceemo", "keras"
_SEED = 0
_DRAWN = {"train": 600, "validation": 240, "test": 80}


class Bench:
    """One run of the benchmark.

    Attributes:
        options: of the command.
        out: a folder that is removed in the end.
    """

    def __init__(self, options: argparse.Namespace, out: Path) -> None:
        self.options = options
        self.out = out

    def images(self, count: int) -> Path:
        """The data_dir of so many images, prepared; 0 is all. Says how many are left."""
        folder = self.out / f"data{count}"
        if not folder.exists():
            folder.mkdir()
            with contextlib.redirect_stdout(sys.stderr):
                path = self.options.zip or sample.write_zip(self.out, _SEED, _DRAWN)
                drawn(path, count, _SEED, folder)
                splits = data.load(make_config("vgg16", f"0,weights=none,data_dir={folder}"))
            sizes = ", ".join(f"{len(split)} {name}" for name, split in splits.items())
            kind = "real" if self.options.zip else "drawn"
            print(f"prepared images ({kind}): {sizes}")
        return folder

    def arg(self, variant: int, count: int, **fields: object) -> str:
        """What follows a configuration's colon, on so many images; random weights by default."""
        fields = {"weights": "none", "data_dir": self.images(count), "patience": 0} | fields
        return ",".join([str(variant), *(f"{name}={value}" for name, value in fields.items())])


def program(name: str, *arguments: object) -> list[str]:
    """The command line of a program beside this file."""
    path = Path(__file__).with_name(f"{name}.py")
    return [sys.executable, str(path), *map(str, arguments)]


def ask(name: str, *arguments: object, **environment: str) -> Any:
    """The JSON that a program prints, run once on its own."""
    answer = subprocess.run(
        program(name, *arguments),
        env=os.environ | environment,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return json.loads(answer.stdout.splitlines()[-1])


def shown(values: Sequence[float], unit: float = 1.0, digits: int = 2) -> str:
    """Median (smallest-largest), each times `unit`."""
    middle, low, high = (f"{unit * value:,.{digits}f}" for value in timing.spread(values))
    return f"{middle} ({low}-{high})"


def ratio(seconds: dict[str, list[float]], other: str, own: str) -> float:
    """Of the medians: above 1, `own` is faster."""
    return timing.spread(seconds[other])[0] / timing.spread(seconds[own])[0]


def complain(failed: dict[str, str]) -> None:
    """Says which programs did not run, and why."""
    for name, reason in failed.items():
        print(f"  {name} did not run: {reason}")
