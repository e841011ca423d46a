"""A PyTorch model with faceemo's weights that maps pixels to probabilities."""

# Only the extra 'bench' has PyTorch.
# pyright: reportMissingImports=false

from typing import Any

import numpy as np
import torch
from flax import traverse_util
from torch import nn

from faceemo.models import vgg16
from faceemo.train.checkpoint.trained_model import TrainedModel

from . import infer_models, torch_backbones

_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class Probabilities(nn.Module):
    """Maps uint8 [N, S, S] to probabilities [N, C], as faceemo's predictor does with crops."""

    def __init__(self, trained: TrainedModel):
        super().__init__()
        config, spec = trained.config, trained.preprocessing
        self.size, self.enlarges = config.image_size, config.image_size != config.native_size
        self.scale, self.temperature = spec.scale, trained.temperature
        self.mean = torch.tensor(spec.mean).reshape(1, 3, 1, 1)
        self.network = torch_backbones.build(trained.model)
        if "torch" in infer_models.numerically_equal(config.arch):
            load_weights(self.network, trained)
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Computes probabilities; for grey images the order of the channels does not matter."""
        grey = images[:, None].float()
        if self.enlarges:
            grey = nn.functional.interpolate(
                grey, size=(self.size, self.size), mode="bilinear", align_corners=False
            )
        colour = grey.expand(-1, 3, -1, -1) * self.scale - self.mean
        colour = colour.contiguous(memory_format=torch.channels_last)
        return torch.softmax(self.network(colour) / self.temperature, dim=1)


def load_weights(network: nn.Module, trained: TrainedModel) -> None:
    """Copies all variables into the network.

    Raises:
        ValueError: If a tensor of the network gets no value.
    """
    state, unfilled = network.state_dict(), set(network.state_dict())
    head_weights: list[str] = [
        name for name in state if name.startswith("head.") and "weight" in name
    ]
    for tree in trained.variables.values():
        for path, leaf in traverse_util.flatten_dict(tree, sep="/").items():
            part, layer, kind = path.split("/")
            array = np.asarray(leaf)
            if part == "head":  # PyTorch numbers its layers, in the same order
                order = [name for name, _ in trained.model.head.dense] + ["predictions"]
                weight = head_weights[order.index(layer)]
                name = weight if kind == "kernel" else weight.replace("weight", "bias")
                array = (
                    _convert_dense(array, order.index(layer), trained)
                    if kind == "kernel"
                    else array
                )
            else:
                suffix = _BATCH_NORM.get(kind, "weight" if kind == "kernel" else kind)
                name = f"backbone.{layer}.{suffix}"
                if array.ndim == 4:  # depthwise kernels are [h, w, channels, 1]
                    depthwise = state[name].shape[1] == 1
                    array = array.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
            state[name].copy_(torch.from_numpy(np.array(array)))
            unfilled.remove(name)
    unfilled = {name for name in unfilled if not name.endswith("num_batches_tracked")}
    if unfilled:
        raise ValueError(f"no weights for {', '.join(sorted(unfilled))}")


def _convert_dense(kernel: np.ndarray, number: int, trained: TrainedModel) -> np.ndarray:
    """Transposes [in, out] to [out, in]; after Flatten, also reorders inputs to channels first."""
    if number == 0 and trained.model.head.pooling == "flatten":
        channels = vgg16.CHANNELS[-1][-1]
        side = round((len(kernel) / channels) ** 0.5)
        kernel = kernel.reshape(side, side, channels, -1).transpose(2, 0, 1, 3)
        kernel = kernel.reshape(channels * side * side, -1)
    return kernel.T


def write(trained: TrainedModel, path: Any, images: np.ndarray) -> None:
    """Traces the model, which makes it faster, and writes a TorchScript file."""
    with torch.inference_mode():
        traced: Any = torch.jit.trace(Probabilities(trained), torch.from_numpy(images))
        torch.jit.save(traced, str(path))
