"""The backbones' graphs in ONNX.

Each function repeats the calls of the network's module in `faceemo.models`, whose tables it uses.
Files are compared with the network itself before anything uses them.
"""

from collections.abc import Callable

import numpy as np

from faceemo.inference.export.onnx_graph import Graph, Tensor
from faceemo.models import efficientnetb0, mobilenet, resnet50v2, vgg16


def _add_vgg16(graph: Graph, hidden: Tensor) -> Tensor:
    for block, widths in enumerate(vgg16.CHANNELS, start=1):
        for position, _ in enumerate(widths, start=1):
            hidden = graph.relu(graph.convolve(hidden, f"block{block}_conv{position}"))
        hidden = graph.max_pool(hidden, side=2, stride=2)
    return hidden


def _add_resnet50v2(graph: Graph, hidden: Tensor) -> Tensor:
    epsilon, one_around = resnet50v2.EPSILON, resnet50v2.ONE_AROUND
    hidden = graph.convolve(hidden, "conv1_conv", stride=2, pads=resnet50v2.THREE_AROUND)
    # Zeros, although values may be negative; the pads of pooling itself would be less than all.
    channels, height, width = hidden.shape
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    hidden = graph.add("Pad", [hidden, pads], (channels, height + 2, width + 2))
    hidden = graph.max_pool(hidden, side=3, stride=2)
    for stack, _, count, last_stride in resnet50v2.STACKS:
        for number in range(1, count + 1):
            name = f"{stack}_block{number}"
            stride = last_stride if number == count else 1
            preactivated = graph.relu(graph.normalise(hidden, f"{name}_preact_bn", epsilon))
            residual = graph.convolve(
                preactivated, f"{name}_1_conv", norm=(f"{name}_1_bn", epsilon)
            )
            residual = graph.convolve(
                graph.relu(residual),
                f"{name}_2_conv",
                stride=stride,
                pads=one_around,
                norm=(f"{name}_2_bn", epsilon),
            )
            if number == 1:
                shortcut = graph.convolve(preactivated, f"{name}_0_conv")
            else:  # every `stride`-th pixel
                shortcut = graph.max_pool(hidden, side=1, stride=stride) if stride > 1 else hidden
            residual = graph.convolve(graph.relu(residual), f"{name}_3_conv")
            hidden = graph.add("Add", [shortcut, residual], residual.shape)
    return graph.relu(graph.normalise(hidden, "post_bn", epsilon))


def _add_efficientnetb0(graph: Graph, hidden: Tensor) -> Tensor:
    epsilon = efficientnetb0.EPSILON
    normal = graph.take("normalization")
    factor = 1 / np.maximum(np.sqrt(np.asarray(normal["variance"], np.float64)), 1e-7)
    offset = -np.asarray(normal["mean"], np.float64) * factor
    for operator, values in (("Mul", factor / 255), ("Add", offset)):
        constant = values.astype(np.float32).reshape(-1, 1, 1)
        hidden = graph.add(operator, [hidden, constant], hidden.shape)
    hidden = graph.swish(graph.convolve(hidden, "stem_conv", stride=2, norm=("stem_bn", epsilon)))
    for number, (_, repeats, width, expand, first_stride) in enumerate(
        efficientnetb0.STAGES, start=1
    ):
        for repeat in range(repeats):
            name, stride = f"block{number}{'abcd'[repeat]}_", 1 if repeat else first_stride
            entering = hidden
            if expand > 1:
                hidden = graph.convolve(
                    hidden, f"{name}expand_conv", norm=(f"{name}expand_bn", epsilon)
                )
                hidden = graph.swish(hidden)
            hidden = graph.convolve(
                hidden,
                f"{name}dwconv",
                stride=stride,
                depthwise=True,
                norm=(f"{name}bn", epsilon),
            )
            hidden = graph.swish(hidden)
            gate = graph.swish(graph.convolve(graph.average(hidden), f"{name}se_reduce"))
            gate = graph.convolve(gate, f"{name}se_expand")
            gate = graph.add("Sigmoid", [gate], gate.shape)
            hidden = graph.add("Mul", [hidden, gate], hidden.shape)
            hidden = graph.convolve(
                hidden, f"{name}project_conv", norm=(f"{name}project_bn", epsilon)
            )
            if stride == 1 and entering.shape[0] == width:
                hidden = graph.add("Add", [hidden, entering], hidden.shape)
    return graph.swish(graph.convolve(hidden, "top_conv", norm=("top_bn", epsilon)))


def _add_mobilenet(graph: Graph, hidden: Tensor) -> Tensor:
    def fold(layer: str) -> tuple[str, float]:
        return f"{layer}_bn", mobilenet.EPSILON

    hidden = graph.relu6(graph.convolve(hidden, "conv1", stride=2, norm=fold("conv1")))
    for number, (_, stride) in enumerate(mobilenet.PAIRS, start=1):
        depthwise, pointwise = f"conv_dw_{number}", f"conv_pw_{number}"
        # For a stride a row and a column of zeros, below and on the right of even sizes alone.
        below, right = (1 - size % 2 for size in hidden.shape[1:])
        pads = None if stride == 1 else ((0, below), (0, right))
        hidden = graph.convolve(
            hidden, depthwise, stride=stride, pads=pads, depthwise=True, norm=fold(depthwise)
        )
        hidden = graph.convolve(graph.relu6(hidden), pointwise, norm=fold(pointwise))
        hidden = graph.relu6(hidden)
    return hidden


# Each adds a backbone to a graph, from preprocessed images to features [N, C, h, w].
BACKBONES: dict[str, Callable[[Graph, Tensor], Tensor]] = {
    "vgg16": _add_vgg16,
    "resnet50v2": _add_resnet50v2,
    "efficientnetb0": _add_efficientnetb0,
    "mobilenet": _add_mobilenet,
}
