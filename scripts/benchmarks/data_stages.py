"""Program that data_scale.py starts: one step of a large set's way, and what it took.

    python data_stages.py unpack|prepare|explore|build|train ROOT ZIP [--kill WHAT NUMBER]

Prints as its last line a JSON object: seconds, processor seconds, and the highest memory in MiB of
this process, and what 'train' measures. With --kill it dies by SIGKILL when a kind of step has
happened so many times.
"""

import argparse
import json
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthetic_set import ARCH, CLASSES, SIDE, spell_fields, training_fields

from faceemo import staging
from faceemo.config import ImageFormat
from faceemo.data import builder
from faceemo.data.measure import measure, thumbnails
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from faceemo.data.source.selection import Selection


def main() -> None:
    """Runs the step that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("root", type=Path)
    parser.add_argument("zip", type=Path)
    parser.add_argument("--kill", nargs=2, default=None)
    options = parser.parse_args()
    if options.kill:
        _die_at(options.kill[0], int(options.kill[1]))
    started, processor = time.monotonic(), time.process_time()
    found = STEPS[options.step](options.root, options.zip) or {}
    usage = resource.getrusage(resource.RUSAGE_SELF)
    facts = {
        "seconds": time.monotonic() - started,
        "processor_seconds": time.process_time() - processor,
        "peak_mib": usage.ru_maxrss / 1024,
    } | found
    print(json.dumps(facts))


def _unpack(root: Path, source: Path) -> None:
    prepare.prepare(root, last="unpack", selection=_select(source))


def _prepare(root: Path, source: Path) -> None:
    prepare.prepare(root, selection=_select(source), screen="no")


def _build(root: Path, source: Path) -> None:
    """Builds the dataset, and reads it once, as the first run does."""
    builder.load(root, ImageFormat(SIDE, "rgb"), CLASSES, memory=-1)


def _explore(root: Path, source: Path) -> None:
    from faceemo.analysis.dataset import exploration

    exploration.write(root, 0, archive.hash_images(root / archive.FOLDER))


def _train(root: Path, source: Path) -> dict[str, float]:
    """Trains some steps with images from disk, and reads as many batches without a step.

    Returns:
        Processor seconds of a step with its input, and of the input alone, of an image; and the
        images a second that are read.
    """
    from train_faceemo import Run, Stepper, open_batches

    argument = spell_fields(training_fields(root, source, SIDE))
    stepper = Stepper(Run.from_argument(ARCH, argument))
    stepper.train()  # compiles
    images = stepper.run.config.steps_per_epoch * stepper.run.config.batch_size
    processor = time.process_time()
    stepper.train()
    step = time.process_time() - processor
    processor, started = time.process_time(), time.monotonic()
    with open_batches(stepper.run.splits["train"], stepper.run.config, stepper.progress) as batches:
        for _ in range(stepper.run.config.steps_per_epoch):
            next(batches)
    spent, seconds = time.process_time() - processor, time.monotonic() - started
    return {
        "step_processor_ms_per_image": 1000 * step / images,
        "input_processor_ms_per_image": 1000 * spent / images,
        "input_images_per_second": images / seconds,
    }


def _select(source: Path) -> Selection:
    return Selection(source=source, classes=CLASSES)


def _die_at(what: str, number: int) -> None:
    """Kills this process when a kind of step has happened `number` times."""
    owner, name = KILLS[what]
    original = getattr(owner, name)
    count = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, name, counted)


STEPS: dict[str, Callable[[Path, Path], dict[str, float] | None]] = {
    "unpack": _unpack,
    "prepare": _prepare,
    "build": _build,
    "explore": _explore,
    "train": _train,
}
# What happens once for each image (measurements: for each 32 of them).
KILLS: dict[str, tuple[Any, str]] = {
    "unpack": (staging, "write_file"),
    "measure": (measure.Store, "add"),
    "compare": (thumbnails.Thumbnails, "get"),
    "copy": (staging, "copy_file"),
    "build": (builder.FaceEmotions, "_make_record"),
}

if __name__ == "__main__":
    main()
