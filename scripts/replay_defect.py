"""Trains with the original's worst defect put back, to see what it does.

    python scripts/replay_defect.py vgg16:4,weights=hed,image_size=48,policy=strict

The original divided training images of the level `high` by 255 once more than validation images, so
that they were nearly black. faceemo refuses such a run and says why; here that check is off. The
run's folder is a temporary one, so that no checkpoint of it can be taken for a sound one.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow, which metrics bring, greets else

from faceemo import errors
from faceemo.config import make_config, validate
from faceemo.experiments import run
from faceemo.train import compile_cache, steps, watchdog

DIVISOR = 255


def put_back() -> None:
    """Darkens every augmented image, and keeps the check that would refuse it from looking."""
    augment, refuse = steps.augment, watchdog.refuse_unlike_pixels

    def darkened(*args):
        return augment(*args) / DIVISOR

    def told(*args) -> None:
        try:
            refuse(*args)
        except errors.UserError as error:
            print(f"faceemo would refuse this run: {error}")
        else:
            raise RuntimeError("the defect is not there: training no longer calls steps.augment")

    steps.augment, watchdog.refuse_unlike_pixels = darkened, told


def main() -> None:
    """Reads the arguments, trains, and says what the network answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="ARCH:VARIANT[,FIELD=VALUE...]")
    arch, _, arg = parser.parse_args().model.partition(":")
    compile_cache.keep()
    with errors.reported(), tempfile.TemporaryDirectory() as folder:
        put_back()
        run.train(validate(make_config(arch, arg)), Path(folder))
        scores = json.loads((Path(folder) / "report" / "validation" / "scores.json").read_text())
        answers = zip(
            scores["classes"], map(sum, zip(*scores["confusion"], strict=True)), strict=True
        )
    print("answers on validation:", ", ".join(f"{name} {count:,}" for name, count in answers))


if __name__ == "__main__":
    main()
