"""The libraries that compute a run, besides XLA. A run keeps those that it began with."""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from faceemo.models.layers import onednn, onednn_choice, onednn_verdict
from faceemo.models.layers.extension import build, calls
from faceemo.train import parallel, run_log
from faceemo.train.checkpoint.provenance import CONVOLUTIONS, EXTENSION, ONEDNN, SUMS

# Image sizes from which on oneDNN saves a network more time than it costs: JAX keeps no compiled
# programs with it, so that each start compiles. In float32 it takes the place of an extension that
# could not be built. At 96 pixels, batch 32, AVX-512 with bfloat16, it was 1.3 to 1.4 times as fast
# as XLA for VGG16 in float32, and 2.0 to 2.2 times in bfloat16 for it and for ResNet50V2; at 48
# pixels VGG16 1.2 to 1.3 times, and 1.9 to 2.0 in bfloat16. With AVX2 but not AVX-512 it gained
# nothing in float32 at 48 pixels. ResNet50V2 was not measured at other sizes. The other networks
# have one convolution that oneDNN would compute.
GAINS = {
    "float32": {"vgg16": 96},
    "float32, AVX-512": {"vgg16": 48},
    "bfloat16": {"vgg16": 48, "resnet50v2": 96},
}
# The type of numbers for which there is an extension, from which every network gains.
_EXTENDED = "float32"


def choose(config: ConfigDict, recipe: Mapping[str, Any] | None) -> None:
    """Chooses the libraries of all functions that are traced from here on.

    Every process of a run has to call it, and all get the same libraries. A new run gets what gains
    and works. A run that began without a library stays without it, because each rounds in its own
    way. A run that began with one keeps it; if this machine has none it goes on with XLA alone, and
    says so.

    Args:
        config: The run's configuration.
        recipe: The recipe of the run that is resumed or evaluated, see `provenance.make_recipe`;
            None for a new run.

    Raises:
        UserError: If `onednn_verdict.SWITCH` or `build.SWITCH` has a value that is not valid.
    """
    library = None
    if config.dtype == _EXTENDED if recipe is None else recipe.get(SUMS) == EXTENSION:
        found = build.find_library()
        if _agree(found.library is not None, "the compiled extension", found.reason, recipe):
            library = found.library
    calls.use(library)
    gains = library is None and _gains(config)
    dtypes: tuple[str, ...] = ()
    if gains if recipe is None else recipe.get(CONVOLUTIONS) == ONEDNN:
        verdict = onednn_verdict.find_verdict()
        if _agree(config.dtype in verdict.dtypes, "oneDNN", verdict.reason, recipe):
            dtypes = (config.dtype,)
    onednn.use(dtypes)


def _agree(found: bool, library: str, reason: str, recipe: Mapping[str, Any] | None) -> bool:
    """Returns whether all processes have found a library, and says so, or why not."""
    everywhere = parallel.is_true_in_all(found)
    reason = reason or "another process has none"
    if recipe is not None and not everywhere:
        run_log.tell(
            f"this run began with {library} and goes on with XLA alone ({reason}): its "
            f"results differ, by rounding, from those of a run that keeps to {library}"
        )
    with run_log.details():
        print(f"{library}: {'in use' if everywhere else f'not in use ({reason})'}")
    return everywhere


def _gains(config: ConfigDict) -> bool:
    smallest = GAINS[onednn_choice.measured_case(config.dtype)]
    return config.image_size >= smallest.get(config.arch, math.inf)
