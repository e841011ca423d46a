"""The networks of faceemo (and Keras) in PyTorch, to compare their speed.

Modules have the names of faceemo's layers, so that its patterns select the frozen ones. Stochastic
depth and dropout are left out; they cost next to nothing. Channels are last in memory, which is
faster.
"""

# Only the extra 'bench' has PyTorch.
# pyright: reportMissingImports=false

import re
from collections import OrderedDict
from functools import partial

import torch
from torch import nn

from faceemo.models import Model, efficientnetb0, mobilenet, resnet50v2, vgg16


def build(model: Model) -> nn.Module:
    """Builds backbone and head, which map [B, 3, S, S] to logits [B, num_classes].

    Modules are named 'backbone.LAYER' and 'head.NUMBER'.
    """
    make_backbone = {
        "vgg16": _vgg16,
        "resnet50v2": ResNet50V2,
        "efficientnetb0": EfficientNetB0,
        "mobilenet": partial(_mobilenet, getattr(model.backbone, "width", 1.0)),
    }
    backbone = make_backbone[model.arch]()
    with torch.no_grad():
        size = model.image_size
        # In inference mode, because BatchNorm cannot train on a single 1x1 feature map.
        channels, height, width = backbone.eval()(torch.zeros(1, 3, size, size)).shape[1:]
    backbone.train()
    flat = model.head.pooling == "flatten"
    layers: list[nn.Module] = [
        nn.Flatten() if flat else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    ]
    inputs = channels * height * width if flat else channels
    for _, outputs in model.head.dense:
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        inputs = outputs
    head = nn.Sequential(*layers, nn.Linear(inputs, model.num_classes))
    whole = nn.Sequential(OrderedDict(backbone=backbone, head=head))
    for parameter in whole.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return whole


def freeze(network: nn.Module, patterns: list[str]) -> None:
    """Freezes all layers whose path no pattern matches: inference mode and no gradient."""
    network.train()
    for name, layer in network.named_modules():
        if not list(layer.parameters(recurse=False)):
            continue
        if not any(re.fullmatch(pattern, f"{name.replace('.', '/')}/") for pattern in patterns):
            layer.eval().requires_grad_(False)


def _vgg16() -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 3
    for block, widths in enumerate(vgg16.CHANNELS, start=1):
        for position, width in enumerate(widths, start=1):
            layers[f"block{block}_conv{position}"] = nn.Conv2d(inputs, width, 3, padding=1)
            layers[f"block{block}_relu{position}"] = nn.ReLU()
            inputs = width
        layers[f"block{block}_pool"] = nn.MaxPool2d(2)
    return nn.Sequential(layers)


class ResNet50V2(nn.Module):
    """The backbone, pre-activation, with Keras's strides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1_conv = nn.Conv2d(3, 64, 7, 2, 3)
        inputs = 64
        for stack, width, count, last_stride in resnet50v2.STACKS:
            for number in range(1, count + 1):
                name = f"{stack}_block{number}"
                stride = last_stride if number == count else 1
                self.add_module(f"{name}_preact_bn", nn.BatchNorm2d(inputs, resnet50v2.EPSILON))
                self.add_module(f"{name}_1_conv", nn.Conv2d(inputs, width, 1, bias=False))
                self.add_module(f"{name}_1_bn", nn.BatchNorm2d(width, resnet50v2.EPSILON))
                middle = nn.Conv2d(width, width, 3, stride, 1, bias=False)
                self.add_module(f"{name}_2_conv", middle)
                self.add_module(f"{name}_2_bn", nn.BatchNorm2d(width, resnet50v2.EPSILON))
                self.add_module(f"{name}_3_conv", nn.Conv2d(width, 4 * width, 1))
                if number == 1:
                    self.add_module(f"{name}_0_conv", nn.Conv2d(inputs, 4 * width, 1))
                inputs = 4 * width
        self.post_bn = nn.BatchNorm2d(inputs, resnet50v2.EPSILON)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps images [B, 3, S, S] to features [B, 2048, s, s]."""

        def activated(hidden: torch.Tensor, name: str) -> torch.Tensor:
            return nn.functional.relu(self.get_submodule(name)(hidden), inplace=True)

        hidden = nn.functional.pad(self.conv1_conv(images), (1, 1, 1, 1))
        hidden = nn.functional.max_pool2d(hidden, 3, 2)
        for stack, _, count, last_stride in resnet50v2.STACKS:
            for number in range(1, count + 1):
                name = f"{stack}_block{number}"
                stride = last_stride if number == count else 1
                preactivated = activated(hidden, f"{name}_preact_bn")
                residual = self.get_submodule(f"{name}_1_conv")(preactivated)
                residual = activated(residual, f"{name}_1_bn")
                residual = self.get_submodule(f"{name}_2_conv")(residual)
                residual = activated(residual, f"{name}_2_bn")
                if number == 1:
                    shortcut = self.get_submodule(f"{name}_0_conv")(preactivated)
                else:
                    shortcut = hidden[:, :, ::stride, ::stride]
                hidden = shortcut + self.get_submodule(f"{name}_3_conv")(residual)
        return activated(hidden, "post_bn")


class EfficientNetB0(nn.Module):
    """The backbone; its padding is symmetric, unlike Keras's, at the same cost."""

    def __init__(self) -> None:
        super().__init__()
        self.stem_conv = nn.Conv2d(3, efficientnetb0.STEM_WIDTH, 3, 2, 1, bias=False)
        self.stem_bn = nn.BatchNorm2d(efficientnetb0.STEM_WIDTH, efficientnetb0.EPSILON)
        inputs = efficientnetb0.STEM_WIDTH
        for name, kernel, width, expand, stride in _residual_blocks():
            expanded = inputs * expand
            if expand > 1:
                self.add_module(f"{name}expand_conv", nn.Conv2d(inputs, expanded, 1, bias=False))
                self.add_module(
                    f"{name}expand_bn", nn.BatchNorm2d(expanded, efficientnetb0.EPSILON)
                )
            depthwise = nn.Conv2d(
                expanded, expanded, kernel, stride, kernel // 2, groups=expanded, bias=False
            )
            self.add_module(f"{name}dwconv", depthwise)
            self.add_module(f"{name}bn", nn.BatchNorm2d(expanded, efficientnetb0.EPSILON))
            self.add_module(f"{name}se_reduce", nn.Conv2d(expanded, inputs // 4, 1))
            self.add_module(f"{name}se_expand", nn.Conv2d(inputs // 4, expanded, 1))
            self.add_module(f"{name}project_conv", nn.Conv2d(expanded, width, 1, bias=False))
            self.add_module(f"{name}project_bn", nn.BatchNorm2d(width, efficientnetb0.EPSILON))
            inputs = width
        self.top_conv = nn.Conv2d(inputs, efficientnetb0.TOP_WIDTH, 1, bias=False)
        self.top_bn = nn.BatchNorm2d(efficientnetb0.TOP_WIDTH, efficientnetb0.EPSILON)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps images [B, 3, S, S] to features [B, 1280, s, s]."""

        def applied(hidden: torch.Tensor, *names: str) -> torch.Tensor:
            for name in names:
                hidden = self.get_submodule(name)(hidden)
            return hidden

        swish = partial(nn.functional.silu, inplace=True)
        hidden = swish(applied(images, "stem_conv", "stem_bn"))
        for name, _, _, expand, stride in _residual_blocks():
            inputs = hidden
            if expand > 1:
                hidden = swish(applied(hidden, f"{name}expand_conv", f"{name}expand_bn"))
            hidden = swish(applied(hidden, f"{name}dwconv", f"{name}bn"))
            gate = swish(applied(hidden.mean((2, 3), keepdim=True), f"{name}se_reduce"))
            hidden = hidden * torch.sigmoid(applied(gate, f"{name}se_expand"))
            hidden = applied(hidden, f"{name}project_conv", f"{name}project_bn")
            if stride == 1 and hidden.shape[1] == inputs.shape[1]:
                hidden = hidden + inputs
        return swish(applied(hidden, "top_conv", "top_bn"))


def _residual_blocks() -> list[tuple[str, int, int, int, int]]:
    """Lists (name, kernel size, output channels, expansion, stride) of every residual block."""
    blocks = []
    for number, (kernel, count, width, expand, stride) in enumerate(efficientnetb0.STAGES, 1):
        for repeat in range(count):
            name = f"block{number}{'abcd'[repeat]}_"
            blocks.append((name, kernel, width, expand, stride if repeat == 0 else 1))
    return blocks


def _mobilenet(share: float) -> nn.Module:
    """Builds MobileNet, padding strided layers as Keras does: at the bottom and right only."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()

    def add(name: str, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1):
        if stride == 2:
            layers[f"{name}_pad"] = nn.ZeroPad2d((0, 1, 0, 1))
        padding = kernel // 2 if stride == 1 else 0
        layers[name] = nn.Conv2d(
            inputs, outputs, kernel, stride, padding, groups=groups, bias=False
        )
        layers[f"{name}_bn"] = nn.BatchNorm2d(outputs, mobilenet.EPSILON)
        layers[f"{name}_relu"] = nn.ReLU6(inplace=True)

    width = int(share * mobilenet.STEM_WIDTH)
    add("conv1", 3, width, 3, 2)
    for number, (channels, stride) in enumerate(mobilenet.PAIRS, start=1):
        wider = int(share * channels)
        add(f"conv_dw_{number}", width, width, 3, stride, groups=width)
        add(f"conv_pw_{number}", width, wider, 1, 1)
        width = wider
    return nn.Sequential(layers)
