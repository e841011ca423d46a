"""Shared parts of the sections of train.py: options, images, and starting programs."""

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
_DRAWN_IMAGES = {"train": 600, "validation": 240, "test": 80}


class TrainBenchmark:
    """One run of the benchmark.

    Attributes:
        options: Command-line options.
        out: Temporary folder for data and results.
    """

    def __init__(self, options: argparse.Namespace, out: Path) -> None:
        self.options = options
        self.out = out

    def prepare_images(self, count: int) -> Path:
        """Prepares `count` training and `count // 3` validation images; returns the data_dir."""
        folder = self.out / f"data{count}"
        if not folder.exists():
            folder.mkdir()
            with contextlib.redirect_stdout(io.StringIO()):
                path = self.options.zip or sample.write_zip(self.out, _SEED, _DRAWN_IMAGES)
                # The counts are multiples of the batch size: faceemo also computes the padding of a
                # partial batch, which is negligible in real epochs but would not be here.
                _write_subset(path, {"train": count, "validation": count // 3, "test": 4}, folder)
                splits = data.load(make_config("vgg16", _common_arg(0, folder)))
            sizes = ", ".join(f"{len(split)} {name}" for name, split in splits.items())
            print(f"{'real' if self.options.zip else 'drawn'} images: {sizes}")
        return folder

    def config_arg(self, variant: int, count: int, **fields: object) -> str:
        """Returns VARIANT,FIELD=VALUE... for `count` training images and random weights."""
        pairs = (f"{name}={value}" for name, value in fields.items())
        return ",".join([_common_arg(variant, self.prepare_images(count)), *pairs])


def _common_arg(variant: int, data_dir: Path) -> str:
    return f"{variant},weights=none,patience=0,policy=keep,data_dir={data_dir}"


def _write_subset(path: Path, counts: dict[str, int], out: Path) -> None:
    """Writes a zip of random images into `out`, the same number of each class.

    Args:
        path: Zip of face images.
        counts: Number of images of each split.
        out: Folder for the zip.

    Raises:
        UserError: If there is no zip at `path`, or it has too few images.
    """
    if not path.is_file():
        raise UserError(
            expected=f"a zip of face images at {path}",
            found="no such file",
            fix="give one with --zip, or omit --zip to use drawn faces",
        )
    rng = random.Random(_SEED)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out / archive.ZIP, "w") as target:
        names = sorted(name for name in source.namelist() if name.endswith(".jpg"))
        for split, name in itertools.product(counts, CLASSES):
            folder = f"{archive.FOLDER}/{split}/{name}/"
            candidates = [member for member in names if member.startswith(folder)]
            count = counts[split] // len(CLASSES)
            if len(candidates) < count:
                raise UserError(
                    expected=f"at least {count} images in {folder} of {path}",
                    found=str(len(candidates)),
                    fix="lower --images and --run-images",
                )
            for member in sorted(rng.sample(candidates, count)):
                target.writestr(zipfile.ZipInfo(member), source.read(member))


def make_command(name: str, *arguments: object) -> list[str]:
    """Makes the command line of a program in this folder."""
    path = Path(__file__).with_name(f"{name}.py")
    return [sys.executable, str(path), *map(str, arguments)]


def run_program(name: str, *arguments: object, **environment: str) -> Any:
    """Runs a program of this folder once and returns the JSON that it prints."""
    # The user's own compilation cache would be filled already.
    inherited = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    process = subprocess.run(
        make_command(name, *arguments), env=inherited | environment, capture_output=True, text=True
    )
    if process.returncode:
        raise RuntimeError(
            f"{name} {' '.join(map(str, arguments))} failed:\n{process.stderr[-2000:]}"
        )
    return json.loads(process.stdout.splitlines()[-1])


def format_range(values: Sequence[float], unit: float = 1.0, digits: int = 2) -> str:
    """Formats 'median (smallest-largest)', each multiplied by `unit`."""
    middle, low, high = (f"{unit * value:,.{digits}f}" for value in timing.median_and_range(values))
    return f"{middle} ({low}-{high})"


def compute_ratio(seconds: dict[str, list[float]], other: str, own: str) -> float:
    """Computes the ratio of the medians; above 1, `own` is faster."""
    return timing.median_and_range(seconds[other])[0] / timing.median_and_range(seconds[own])[0]


def print_failures(failed: dict[str, str]) -> None:
    """Prints which programs did not run, and why."""
    for name, reason in failed.items():
        print(f"  {name} did not run: {reason}")
