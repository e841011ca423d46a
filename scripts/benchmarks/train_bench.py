"""What the sections of `train.py` share: options, images, and the programs that they start."""

import argparse
import contextlib
import io
import itertools
import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faceemo import data
from faceemo.config import CLASSES, make_config
from faceemo.data.sample import sample
from faceemo.data.source import archive
from faceemo.errors import UserError

from . import timing

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
        """A data_dir with so many training images and a third of that to validate, prepared."""
        folder = self.out / f"data{count}"
        if not folder.exists():
            folder.mkdir()
            with contextlib.redirect_stdout(io.StringIO()):
                path = self.options.zip or sample.write_zip(self.out, _SEED, _DRAWN)
                # Whole batches: faceemo computes with the padding of a partial one, which matters
                # in no real epoch and would here.
                _draw(path, {"train": count, "validation": count // 3, "test": 4}, folder)
                splits = data.load(make_config("vgg16", self._common(folder)))
            sizes = ", ".join(f"{len(split)} {name}" for name, split in splits.items())
            print(f"{'real' if self.options.zip else 'drawn'} images: {sizes}")
        return folder

    def arg(self, variant: int, count: int, **fields: object) -> str:
        """What follows a configuration's colon, on so many images, from random weights."""
        pairs = (f"{name}={value}" for name, value in fields.items())
        return ",".join([f"{variant},{self._common(self.images(count))[2:]}", *pairs])

    def _common(self, folder: Path) -> str:
        return f"0,weights=none,patience=0,policy=keep,data_dir={folder}"


def _draw(path: Path, counts: dict[str, int], out: Path) -> None:
    """Writes a zip of some of the images, as many of each class, into `out`.

    Raises:
        UserError: if there is no zip, or it has not so many.
    """
    if not path.is_file():
        raise UserError(
            expected=f"a zip of face images at {path}",
            found="no such file",
            fix="name one with --zip, or leave that out for drawn faces",
        )
    draw = random.Random(_SEED)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out / archive.ZIP, "w") as target:
        names = sorted(name for name in source.namelist() if name.endswith(".jpg"))
        for split, name in itertools.product(counts, CLASSES):
            folder = f"{archive.FOLDER}/{split}/{name}/"
            there = [path for path in names if path.startswith(folder)]
            wanted = counts[split] // len(CLASSES)
            if len(there) < wanted:
                raise UserError(
                    expected=f"at least {wanted} images in {folder} of {path}",
                    found=str(len(there)),
                    fix="lower --images and --run_images",
                )
            for chosen in sorted(draw.sample(there, wanted)):
                target.writestr(zipfile.ZipInfo(chosen), source.read(chosen))


def program(name: str, *arguments: object) -> list[str]:
    """The command line of a program beside this file."""
    path = Path(__file__).with_name(f"{name}.py")
    return [sys.executable, str(path), *map(str, arguments)]


def ask(name: str, *arguments: object, **environment: str) -> Any:
    """The JSON that a program prints, run once on its own."""
    # A cache that the user has named is full already.
    inherited = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    answer = subprocess.run(
        program(name, *arguments), env=inherited | environment, capture_output=True, text=True
    )
    if answer.returncode:
        raise RuntimeError(
            f"{name} {' '.join(map(str, arguments))} failed:\n{answer.stderr[-2000:]}"
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
