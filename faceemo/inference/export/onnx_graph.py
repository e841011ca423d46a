"""A graph in ONNX that grows layer by layer, in the form in which onnxruntime computes it fastest.

Images are [N, C, H, W], a BatchNorm that follows a convolution is folded into it, and activations
are operators of their own name, which onnxruntime joins with the convolution before them.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceemo.inference.export import onnx_proto

Pads = tuple[tuple[int, int], tuple[int, int]]  # before and after: rows, columns


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        name: Its name.
        shape: Its shape without the batch's axis: (C, H, W) or (C,).
    """

    name: str
    shape: tuple[int, ...]


class Graph:
    """A graph that takes the layers' arrays from the variables of a part of a network.

    Args:
        source: Name, number type and shape of the graph's input, without the batch's axis.
        variables: {'params', 'batch_stats'} of nested dicts, as `TrainedModel` has them.
    """

    def __init__(self, source: tuple[str, int, tuple[int, ...]], variables: dict[str, Any]):
        name, kind, shape = source
        self.source = Tensor(name, shape)
        self._input = onnx_proto.make_value(name, kind, ("N", *shape))
        self._nodes: list[onnx_proto.Message] = []
        self._tensors: list[onnx_proto.Message] = []
        self._layers: dict[str, dict[str, np.ndarray]] = {}
        for part in (part for collection in variables.values() for part in collection.values()):
            for layer, leaves in part.items():
                self._layers[layer] = self._layers.get(layer, {}) | leaves
        self._count = 0

    def take(self, layer: str) -> dict[str, np.ndarray]:
        """Returns the arrays of a layer, by name, which nothing else takes."""
        return self._layers.pop(layer)

    def add(
        self,
        operator: str,
        inputs: Sequence[Tensor | np.ndarray],
        shape: tuple[int, ...],
        name: str = "",
        **attributes: onnx_proto.Attribute,
    ) -> Tensor:
        """Adds an operator with one output.

        Args:
            operator: Its name in ONNX.
            inputs: Its inputs; an array becomes a constant of the graph.
            shape: The output's shape, without the batch's axis.
            name: The name of operator and output; by default it is numbered.
            **attributes: Its attributes.
        """
        self._count += 1
        name = name or f"{operator.lower()}_{self._count}"
        names = []
        for place, one in enumerate(inputs):
            if isinstance(one, np.ndarray):
                self._tensors.append(onnx_proto.make_tensor(f"{name}/{place}", one))
            names.append(one.name if isinstance(one, Tensor) else f"{name}/{place}")
        self._nodes.append(onnx_proto.make_node(operator, name, names, name, **attributes))
        return Tensor(name, shape)

    def convolve(
        self,
        hidden: Tensor,
        layer: str,
        *,
        stride: int = 1,
        pads: Pads | None = None,
        depthwise: bool = False,
        norm: tuple[str, float] | None = None,
    ) -> Tensor:
        """Adds a convolution.

        Args:
            hidden: Its input.
            layer: The layer's name.
            stride: The step of the window.
            pads: Zeros around the image; None pads as 'SAME' does.
            depthwise: Whether each channel has its own kernel.
            norm: Name and epsilon of the BatchNorm that is folded into it.
        """
        arrays = self.take(layer)
        kernel = arrays["kernel"].astype(np.float64)  # [kh, kw, C, D], depthwise [kh, kw, C, 1]
        # both become [D, C / groups, kh, kw]
        kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        bias = np.asarray(arrays.get("bias", np.zeros(len(kernel))), np.float64)
        if norm is not None:
            factor, offset = self._take_norm(*norm)
            kernel, bias = kernel * factor.reshape(-1, 1, 1, 1), bias * factor + offset
        sides = kernel.shape[2:]
        pads = pads or same_pads(hidden.shape[1:], sides, stride)
        return self.add(
            "Conv",
            [hidden, kernel.astype(np.float32), bias.astype(np.float32)],
            (len(kernel), *_count_windows(hidden.shape[1:], sides, stride, pads)),
            layer,
            kernel_shape=sides,
            strides=(stride, stride),
            pads=[pads[0][0], pads[1][0], pads[0][1], pads[1][1]],
            group=hidden.shape[0] if depthwise else 1,
        )

    def normalise(self, hidden: Tensor, layer: str, epsilon: float) -> Tensor:
        """Adds a BatchNorm that follows no convolution."""
        arrays = self.take(layer)
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        inputs = [hidden, *(np.asarray(arrays[name], np.float32) for name in names)]
        return self.add("BatchNormalization", inputs, hidden.shape, layer, epsilon=epsilon)

    def max_pool(self, hidden: Tensor, side: int, stride: int) -> Tensor:
        """Adds max pooling without padding."""
        size = _count_windows(hidden.shape[1:], (side, side), stride, ((0, 0), (0, 0)))
        shape = (hidden.shape[0], *size)
        sides, strides = (side, side), (stride, stride)
        return self.add("MaxPool", [hidden], shape, kernel_shape=sides, strides=strides)

    def relu(self, hidden: Tensor) -> Tensor:
        """Adds max(x, 0)."""
        return self.add("Relu", [hidden], hidden.shape)

    def relu6(self, hidden: Tensor) -> Tensor:
        """Adds min(max(x, 0), 6)."""
        return self.add("Clip", [hidden, _scalar(0), _scalar(6)], hidden.shape)

    def swish(self, hidden: Tensor) -> Tensor:
        """Adds x * sigmoid(x)."""
        gate = self.add("Sigmoid", [hidden], hidden.shape)
        return self.add("Mul", [hidden, gate], hidden.shape)

    def average(self, hidden: Tensor) -> Tensor:
        """Adds the average over all positions, [N, C, 1, 1]."""
        return self.add("GlobalAveragePool", [hidden], (hidden.shape[0], 1, 1))

    def flatten(self, hidden: Tensor) -> Tensor:
        """Adds the change of shape to [N, C * H * W]."""
        return self.add("Flatten", [hidden], (int(np.prod(hidden.shape)),))

    def dense(self, hidden: Tensor, layer: str, before: tuple[int, ...]) -> Tensor:
        """Adds a dense layer.

        Args:
            hidden: Its input.
            layer: The layer's name.
            before: The input's shape before it was flattened.
        """
        arrays = self.take(layer)
        kernel, bias = arrays["kernel"], arrays["bias"]
        if len(before) == 3:  # its rows are in the order of [H, W, C]
            channels, height, width = before
            kernel = np.reshape(kernel, (height, width, channels, -1)).transpose(2, 0, 1, 3)
            kernel = kernel.reshape(-1, kernel.shape[-1])
        inputs = [hidden, *(np.asarray(one, np.float32) for one in (kernel, bias))]
        return self.add("Gemm", inputs, bias.shape, layer)

    def write(self, path: Path, result: Tensor) -> None:
        """Writes the graph with this result, float32 [N, C], into a file.

        Raises:
            ValueError: If a layer is left over that nothing took.
        """
        if self._layers:
            raise ValueError(f"the graph has no layers {', '.join(sorted(self._layers))}")
        output = onnx_proto.make_value(result.name, onnx_proto.FLOAT, ("N", *result.shape))
        model = onnx_proto.make_model(self._nodes, self._tensors, self._input, [output])
        with path.open("wb") as file:
            file.writelines(model)

    def _take_norm(self, layer: str, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns factor and offset of a BatchNorm in inference, float64 [C]."""
        arrays = {name: np.asarray(one, np.float64) for name, one in self.take(layer).items()}
        factor = arrays["gamma"] / np.sqrt(arrays["moving_variance"] + epsilon)
        return factor, arrays["beta"] - arrays["moving_mean"] * factor


def same_pads(size: Sequence[int], sides: Sequence[int], stride: int) -> Pads:
    """Returns the zeros of 'SAME' padding; an odd one goes after."""
    rows, columns = (
        max((-(-extent // stride) - 1) * stride + side - extent, 0)
        for extent, side in zip(size, sides, strict=True)
    )
    return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)


def _count_windows(
    size: Sequence[int], sides: Sequence[int], stride: int, pads: Pads
) -> tuple[int, ...]:
    """Returns the height and width of what a window leaves."""
    return tuple(
        (extent + sum(pad) - side) // stride + 1
        for extent, side, pad in zip(size, sides, pads, strict=True)
    )


def _scalar(value: float) -> np.ndarray:
    return np.asarray(value, np.float32)
