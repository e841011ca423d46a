"""The record of a backbone: its network, its blocks, its preprocessing and its head."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn

from faceemo.models.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network without its top, with its blocks, preprocessing and head.

    Attributes:
        module: Constructor of the network, which takes a dtype, and `width` if there are several
            (`config.BackboneFacts.widths`). The network maps (inputs, Mode) to
            features [B, h, w, C], and is the composition of its methods `last_map` and `after_map`.
        blocks: Name of each block and the regular expression that matches the '/'-joined paths of
            its parameters, bottom to top.
        preprocessing: Preprocessing that its ImageNet weights expect.
        pooling: 'flatten' or 'average', see `Head`.
        dense: Name and width of each dense layer of its head, before the logits.
        extra_width: Width of the extra dense layer that some variants have.
        dropout_rate: Dropout rate of its head.
    """

    module: Callable[..., nn.Module]
    blocks: tuple[tuple[str, str], ...]
    preprocessing: Preprocessing
    pooling: str
    extra_width: int
    dense: tuple[tuple[str, int], ...] = ()
    dropout_rate: float = 0.0
