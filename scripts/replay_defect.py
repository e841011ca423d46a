"""Trains with the worst defect of the original project restored, to show its effect.

    python scripts/replay_defect.py vgg16:4,weights=hed,image_size=48,policy=strict

With augmentation `high` the original divided training images by 255 once more than validation
images, so that they were nearly black. faceemo refuses such a run; here that check only prints its
message. The run's folder is temporary, so that nobody uses its checkpoints by mistake.
"""

import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # without TensorFlow's start-up messages

from faceemo import errors
from faceemo.commands.parser import Parser
from faceemo.config import make_config, validate
from faceemo.experiments import run
from faceemo.train import steps
from faceemo.train.checks import watchdog
from faceemo.train.programs import compile_cache

DIVISOR = 255


def restore_defect() -> None:
    """Makes every augmented image nearly black, and lets the check print instead of refuse."""
    augment, refuse = steps.augment, watchdog.refuse_unlike_pixels

    def augment_and_darken(*args):
        return augment(*args) / DIVISOR

    def print_refusal(*args) -> None:
        try:
            refuse(*args)
        except errors.UserError as error:
            print(f"faceemo would refuse this run: {error}")
        else:
            raise RuntimeError(
                "the defect has no effect: training no longer calls steps.augment; patch the "
                "function that it calls now"
            )

    steps.augment, watchdog.refuse_unlike_pixels = augment_and_darken, print_refusal


def main() -> None:
    """Trains, and prints how often each class is predicted on validation."""
    parser = Parser(description=__doc__)
    parser.add_argument("model", metavar="ARCH:VARIANT[,FIELD=VALUE...]")
    arch, _, arg = parser.parse_args().model.partition(":")
    compile_cache.enable()
    with errors.reported(), tempfile.TemporaryDirectory() as folder:
        restore_defect()
        run.train(validate(make_config(arch, arg)), Path(folder))
        scores = json.loads((Path(folder) / "report" / "validation" / "scores.json").read_text())
        predicted = zip(
            scores["classes"], map(sum, zip(*scores["confusion"], strict=True)), strict=True
        )
    print("predictions on validation:", ", ".join(f"{name} {n:,}" for name, n in predicted))


if __name__ == "__main__":
    main()
