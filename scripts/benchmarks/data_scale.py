"""Preparation of a set as large as AffectNet: time, memory, and what a kill costs.

A zip of synthetic colour images of 112 pixels is made, prepared without screening (`screen=no`),
explored, built into the files that training reads, and MobileNet trains some steps with images
from disk. Each step is a process of its own, whose highest memory is measured. Then a smaller set
is prepared again by processes that are killed in the middle of each stage, and compared with one
that was not; so is a training that is killed in the middle of an epoch. At last, duplicates are
searched for among made-up measurements of 300,000 images, or of --scale if that is more.
"""

import argparse
import collections
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from faceemo.data.ledger import ledger
from faceemo.errors import UserError
from faceemo.experiments import resume_proof

from . import synthetic_set, timing

_PROGRAM = str(Path(__file__).with_name("data_stages.py"))
_ROWS_PROGRAM = str(Path(__file__).with_name("data_rows.py"))
_ROWS = 300_000
# Bytes that an image takes on disk: in the zip, as original and as unique image (whole blocks of
# 4 KiB), as square for the comparison, and in the dataset.
_BYTES = {"zip": 6_000, "originals": 8_300, "unique images": 8_300, "squares": 2_400,
          "dataset": 26_000}  # fmt: skip
_STEPS = {
    "unpack": "unpack",
    "prepare": "measure, search for duplicates, copy",
    "explore": "page",
    "build": "dataset",
    "train": "12 steps from disk",
}
# What a faster device may take, images a second (EfficientNetB0 at 112 pixels on one GPU, say).
_DEVICE_RATE = 5000
# Steps of the images' way, the kind of event at which it is killed, events per image, and the share
# of them after which it is killed.
_KILLS = (
    ("prepare", "unpack", 1.0),
    ("prepare", "measure", 1 / 32),
    ("prepare", "compare", 0.02),
    ("prepare", "copy", 1.0),
    ("build", "build", 1.0),
)
_KILLED_IMAGES = 2000


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark, prints a table and writes --out as JSON.

    Raises:
        UserError: If there is too little disk.
        AssertionError: If a killed preparation ends with other files.
    """
    _check_disk(options.folder, options.scale)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="faceemo_scale_") as name:
        folder = Path(name)
        results: dict[str, Any] = {"images": options.scale, "machine": timing.describe_machine()}
        started = time.monotonic()
        planted = synthetic_set.write_zip(folder / "set.zip", options.scale, options.seed)
        results["draw_seconds"] = time.monotonic() - started
        results["steps"] = {}
        print(f"\n{'step':<10} {'images/s':>9} {'seconds':>8} {'processor':>9} {'memory MiB':>10}")
        for step, words in _STEPS.items():
            found = _run(step, folder / "root", folder / "set.zip")
            results["steps"][step] = found
            print(
                f"{step:<10} {options.scale / found['seconds']:>9,.0f} {found['seconds']:>8,.0f} "
                f"{found['processor_seconds']:>9,.0f} {found['peak_mib']:>10,.0f}   {words}"
            )
        results["planted"] = _count_planted(folder / "root", planted)
        results["disk_bytes_per_image"] = _measure_disk(folder, options.scale)
        print(f"planted versions found: {json.dumps(results['planted'])}")
        print(f"disk, bytes an image: {json.dumps(results['disk_bytes_per_image'])}")
        trained = results["steps"]["train"]
        share = trained["input_processor_ms_per_image"] / trained["step_processor_ms_per_image"]
        cores = _DEVICE_RATE * trained["input_processor_ms_per_image"] / 1000
        results["input_share"], results["cores_for_device"] = share, cores
        print(
            f"input from disk: {trained['input_processor_ms_per_image']:.2f} ms of a core an image "
            f"({trained['input_images_per_second']:,.0f} images/s here), {share:.1%} of a step; a "
            f"device that takes {_DEVICE_RATE:,} images/s needs {cores:.1f} cores for it"
        )
        shutil.rmtree(folder / "root")
        results["kills"] = _try_kills(folder, min(options.scale, _KILLED_IMAGES), options.seed)
        print(f"kills: {json.dumps(results['kills'])}")
        results["training_identical"] = _kill_training(folder, options.seed)
        words = [str(folder / "rows"), str(max(_ROWS, options.scale))]
        process = subprocess.run(
            [sys.executable, _ROWS_PROGRAM, *words], stdout=subprocess.PIPE, text=True, check=True
        )
        results["duplicates"] = json.loads(process.stdout.splitlines()[-1])
        print(f"search for duplicates: {json.dumps(results['duplicates'])}")
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _check_disk(folder: Path | None, count: int) -> None:
    """Prints how much disk is needed, and refuses to start with less."""
    place = folder or Path(tempfile.gettempdir())
    needed, free = count * sum(_BYTES.values()), shutil.disk_usage(place).free
    parts = ", ".join(f"{name} {size * count / 2**30:.1f}" for name, size in _BYTES.items())
    print(f"disk needed in {place}: {needed / 2**30:.1f} GiB ({parts}); {free / 2**30:.1f} free")
    if needed > free:
        raise UserError(
            expected=f"{needed / 2**30:.1f} GiB of free disk in {place}",
            found=f"{free / 2**30:.1f} GiB",
            fix="name another folder with --folder, or fewer images with --scale",
        )


def _run(step: str, root: Path, source: Path, kill: tuple[str, int] | None = None) -> Any:
    """Runs a step in a process of its own.

    Returns:
        What the step measured; None if it was killed.
    """
    command = [sys.executable, _PROGRAM, step, str(root), str(source)]
    if kill:
        command += ["--kill", kill[0], str(kill[1])]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if kill and process.returncode == -signal.SIGKILL:
        return None
    if process.returncode:
        raise AssertionError(f"{step} ended with {process.returncode}")
    return json.loads(process.stdout.splitlines()[-1])


def _count_planted(root: Path, planted: synthetic_set.Planted) -> dict[str, str]:
    """Counts the planted versions of which one image of the two is left out, by kind."""
    group_of = {row.path: row.near_group for row in ledger.read(root)}
    total = collections.Counter(planted.versions.values())
    found = collections.Counter(
        kind for path, kind in planted.versions.items() if group_of[path] is not None
    )
    return {kind: f"{found[kind]:,} of {count:,}" for kind, count in total.items()}


def _measure_disk(folder: Path, count: int) -> dict[str, int]:
    """Measures the bytes on disk for each image, by folder."""
    places = [folder / "set.zip", *sorted((folder / "root").iterdir())]
    sizes = {}
    for place in places:
        files = place.rglob("*") if place.is_dir() else [place]
        size = sum(512 * file.stat().st_blocks for file in files if file.is_file())
        if size > 100 * count:
            sizes[place.name] = round(size / count)
    return sizes


def _try_kills(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Prepares a set with and without kills, and compares all that is written."""
    source = folder / "small.zip"
    synthetic_set.write_zip(source, count, seed)
    whole = sum(_run(step, folder / "whole", source)["processor_seconds"] for step in
                ("prepare", "build"))  # fmt: skip
    spent = 0.0
    for step, event, rate in _KILLS:
        if _run(step, folder / "killed", source, (event, int(count * rate / 2))) is not None:
            raise AssertionError(f"{step} ended before it could be killed at {event}")
        if event == "copy":  # of which all that follows is the build
            spent += _run("prepare", folder / "killed", source)["processor_seconds"]
    spent += _run("build", folder / "killed", source)["processor_seconds"]
    one, other = (_digest(folder / name) for name in ("whole", "killed"))
    if one != other:
        names = sorted(name for name, _ in one.items() ^ other.items())
        raise AssertionError(f"{len(names):,} files differ: {names[:3]}")
    return {
        "images": count,
        "killed_at": [event for _, event, _ in _KILLS],
        "files_equal": len(one),
        "processor_seconds_whole": whole,
        "processor_seconds_after_the_last_kills": spent,
    }


def _kill_training(folder: Path, seed: int) -> bool:
    """Kills a training that reads from disk in the middle of an epoch; returns whether it resumes.

    Raises:
        AssertionError: If the resumed run differs from one that was not killed.
    """
    fields = synthetic_set.training_fields(folder / "whole", folder / "small.zip", 48)
    fields |= {"batch_size": 8, "epochs": 1, "checkpoint_every_steps": 2}
    argument = synthetic_set.spell_fields(fields)
    config = f"{Path(__file__).parents[2] / 'configs'}/{synthetic_set.ARCH}.py:{argument}"
    words = ["--mode=train", "--config", config]
    if not resume_proof.verify(folder / "proof", words, kills=2, seed=seed):
        raise AssertionError("a training that was killed ends otherwise")
    return True


def _digest(root: Path) -> dict[str, str]:
    """Returns the sha256 of every file except pictures, by its path."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and path.parent.name != "pictures"
    }
