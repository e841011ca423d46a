"""The architectures: what sets each one apart from the others."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from faceemo.models import efficientnetb0, mobilenet, preprocessing, resnet50v2, vgg16
from faceemo.models.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Backbone:
    """What sets one architecture apart from the others.

    Attributes:
        module: makes the trunk for a dtype; it maps (inputs, Mode) to features [B, h, w, C].
        blocks: (name, pattern) of the trunk's blocks, bottom to top.
        preprocessing: of its ImageNet weights.
        pooling: of `Head`.
        dense: of `Head`.
        extra_width: of the extra dense layer that some variants have.
        dropout_rate: of `Head`.
    """

    module: Callable[[jnp.dtype], nn.Module]
    blocks: tuple[tuple[str, str], ...]
    preprocessing: Preprocessing
    pooling: str
    dense: tuple[tuple[str, int], ...]
    extra_width: int
    dropout_rate: float


BACKBONES: dict[str, Backbone] = {
    "vgg16": Backbone(
        module=vgg16.VGG16,
        blocks=vgg16.BLOCKS,
        preprocessing=preprocessing.BGR_MEAN,
        pooling="flatten",
        dense=vgg16.HEAD_LAYERS,
        extra_width=vgg16.EXTRA_WIDTH,
        dropout_rate=0.0,
    ),
    "resnet50v2": Backbone(
        module=resnet50v2.ResNet50V2,
        blocks=resnet50v2.BLOCKS,
        preprocessing=preprocessing.PLUS_MINUS_ONE,
        pooling="average",
        dense=(),
        extra_width=resnet50v2.EXTRA_WIDTH,
        dropout_rate=0.0,
    ),
    "efficientnetb0": Backbone(
        module=efficientnetb0.EfficientNetB0,
        blocks=efficientnetb0.BLOCKS,
        preprocessing=preprocessing.IDENTITY,
        pooling="average",
        dense=(),
        extra_width=efficientnetb0.EXTRA_WIDTH,
        dropout_rate=efficientnetb0.HEAD_DROPOUT,
    ),
    "mobilenet": Backbone(
        module=mobilenet.MobileNet,
        blocks=mobilenet.BLOCKS,
        preprocessing=preprocessing.PLUS_MINUS_ONE,
        pooling="average",
        dense=(),
        extra_width=mobilenet.EXTRA_WIDTH,
        dropout_rate=mobilenet.HEAD_DROPOUT,
    ),
}
