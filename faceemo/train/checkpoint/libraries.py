"""Which library computes a run's convolutions: oneDNN or XLA. A run keeps the one it began with."""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from faceemo.models.layers import onednn, onednn_choice, onednn_verdict
from faceemo.train import parallel, run_log
from faceemo.train.checkpoint.provenance import CONVOLUTIONS, ONEDNN

# Image sizes from which on a network gains more from oneDNN than it loses at its start, because JAX
# keeps no compiled programs with it. At 96 pixels, batch 32, AVX-512 with bfloat16, it was 1.3 to
# 1.4 times as fast as XLA for VGG16 in float32, 0.8 to 1.0 times for ResNet50V2, and 2.0 to 2.2
# times for both in bfloat16; at 48 pixels VGG16 1.2 to 1.3 times, and 1.9 to 2.0 in bfloat16. With
# AVX2 but not AVX-512 it gained nothing in float32 at 48 pixels. ResNet50V2 was not measured at
# other sizes. The other networks have one such convolution.
GAINS = {
    "float32": {"vgg16": 96},
    "float32, AVX-512": {"vgg16": 48},
    "bfloat16": {"vgg16": 48, "resnet50v2": 96},
}


def choose(config: ConfigDict, recipe: Mapping[str, Any] | None) -> None:
    """Chooses the library of all convolutions that are traced from here on.

    Every process of a run has to call it, and all get the same library. A new run gets oneDNN where
    that works. A run that began with XLA stays with XLA, because the two round differently. So
    does a run that began with oneDNN, unless this machine has none: that is printed.

    Args:
        config: The run's configuration.
        recipe: The recipe of the run that is resumed or evaluated, see `provenance.make_recipe`;
            None for a new run.

    Raises:
        UserError: If `onednn_verdict.SWITCH` has a value that is not valid.
    """
    dtypes: tuple[str, ...] = ()
    if _gains(config) if recipe is None else recipe.get(CONVOLUTIONS) == ONEDNN:
        verdict = onednn_verdict.find_verdict()
        found = parallel.is_true_in_all(config.dtype in verdict.dtypes)
        dtypes = (config.dtype,) if found else ()
        reason = verdict.reason or "another process has none"
        if recipe is not None and not found:
            run_log.tell(
                f"this run began with oneDNN's convolutions and goes on with XLA's ({reason}): its "
                "results differ, by rounding, from those of a run that keeps to oneDNN"
            )
        with run_log.details():
            print(f"convolutions: {'oneDNN' if found else f'XLA ({reason})'}")
    onednn.use(dtypes)


def _gains(config: ConfigDict) -> bool:
    smallest = GAINS[onednn_choice.measured_case(config.dtype)]
    return config.image_size >= smallest.get(config.arch, math.inf)
