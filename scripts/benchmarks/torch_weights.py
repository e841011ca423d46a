"""faceemo's weights in the networks of torch_networks.py, and these as one function of pixels."""

# PyTorch is in the extra 'bench' alone.
# pyright: reportMissingImports=false

from typing import Any

import numpy as np
import torch
from flax import traverse_util
from torch import nn

from faceemo.models import vgg16
from faceemo.train.checkpoint.trained_model import TrainedModel

from . import torch_networks

# Whose network is the same, number by number. EfficientNetB0's there pads on both sides alike.
SAME = ("vgg16", "resnet50v2", "mobilenet")
# Keras's, of BatchNorm.
_EPSILON = {"vgg16": 0.0, "resnet50v2": 1.001e-5, "efficientnetb0": 1e-3, "mobilenet": 1e-3}
_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class Probabilities(nn.Module):
    """uint8 [N, S, S] to probabilities [N, C]: all that faceemo's predictor does with crops."""

    def __init__(self, trained: TrainedModel):
        super().__init__()
        config, spec = trained.config, trained.preprocessing
        self.size, self.enlarges = config.image_size, config.image_size != config.native_size
        self.scale, self.temperature = spec.scale, trained.temperature
        self.mean = torch.tensor(spec.mean).reshape(1, 3, 1, 1)
        self.network = torch_networks.build(trained.model)
        for layer in self.network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = _EPSILON[config.arch]
        if config.arch in SAME:
            fill(self.network, trained)
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Grey, so that red and blue may change places."""
        grey = images[:, None].float()
        if self.enlarges:
            grey = nn.functional.interpolate(
                grey, size=(self.size, self.size), mode="bilinear", align_corners=False
            )
        colour = grey.expand(-1, 3, -1, -1) * self.scale - self.mean
        colour = colour.contiguous(memory_format=torch.channels_last)
        return torch.softmax(self.network(colour) / self.temperature, dim=1)


def fill(network: nn.Module, trained: TrainedModel) -> None:
    """Puts every leaf in its place; all of both must be used."""
    state, left = network.state_dict(), set(network.state_dict())
    wide: list[str] = [name for name in state if name.startswith("head.") and "weight" in name]
    for tree in trained.variables.values():
        for path, leaf in traverse_util.flatten_dict(tree, sep="/").items():
            part, layer, kind = path.split("/")
            array = np.asarray(leaf)
            if part == "head":  # its layers have numbers, in the same order
                order = [name for name, _ in trained.model.head.dense] + ["predictions"]
                weight = wide[order.index(layer)]
                name = weight if kind == "kernel" else weight.replace("weight", "bias")
                array = _dense(array, order.index(layer), trained) if kind == "kernel" else array
            else:
                suffix = _BATCH_NORM.get(kind, "weight" if kind == "kernel" else kind)
                name = f"backbone.{layer}.{suffix}"
                if array.ndim == 4:  # of a depthwise one [h, w, channels, 1]
                    depthwise = state[name].shape[1] == 1
                    array = array.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
            state[name].copy_(torch.from_numpy(np.array(array)))
            left.remove(name)
    if unfilled := {name for name in left if not name.endswith("num_batches_tracked")}:
        raise ValueError(f"no weights for {', '.join(sorted(unfilled))}")


def _dense(kernel: np.ndarray, number: int, trained: TrainedModel) -> np.ndarray:
    """[in, out] as [out, in]; the first sees maps with channels first instead of last."""
    if number == 0 and trained.model.head.pooling == "flatten":
        channels = vgg16.CHANNELS[-1][-1]
        side = round((len(kernel) / channels) ** 0.5)
        kernel = kernel.reshape(side, side, channels, -1).transpose(2, 0, 1, 3)
        kernel = kernel.reshape(channels * side * side, -1)
    return kernel.T


def write(trained: TrainedModel, path: Any, images: np.ndarray) -> None:
    """A file that PyTorch alone loads: the function, traced, which is faster than step by step."""
    with torch.inference_mode():
        traced: Any = torch.jit.trace(Probabilities(trained), torch.from_numpy(images))
        torch.jit.save(traced, str(path))
