"""MobileNet (Howard et al. 2017) of any width as keras.applications has it, without its top."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from faceemo.models.backbone import Backbone
from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.depthwise_between import apply_between
from faceemo.models.layers.layers import Conv, DepthwiseConv, Mode
from faceemo.models.preprocessing import PLUS_MINUS_ONE

# Output channels at full width, and stride, of each pair of a depthwise and a pointwise
# convolution.
PAIRS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
# A block is the pairs of one width: 1, 2-3, 4-5, 6-11 and 12-13.
BLOCKS = (
    ("stem", r"backbone/conv1(_bn)?/.*"),
    ("block1", r"backbone/conv_[dp]w_1(_bn)?/.*"),
    ("block2", r"backbone/conv_[dp]w_[23](_bn)?/.*"),
    ("block3", r"backbone/conv_[dp]w_[45](_bn)?/.*"),
    ("block4", r"backbone/conv_[dp]w_([6-9]|10|11)(_bn)?/.*"),
    ("block5", r"backbone/conv_[dp]w_1[23](_bn)?/.*"),
)
STEM_WIDTH, EXTRA_WIDTH = 32, 1024
HEAD_DROPOUT = 1e-3  # as in Keras's top
EPSILON = 1e-3  # Keras's default for BatchNorm
# Keras pads so before a depthwise convolution with a stride.
_BELOW_AND_RIGHT = ((0, 1), (0, 1))
_CHANNELS = (64, 128, 256, 512, 1024)  # output channels of block1 to block5, at full width


class MobileNet(nn.Module):
    """The convolutional network.

    Attributes:
        dtype: Type of the computation and of the features.
        width: Share of the channels that every layer keeps, rounded down; alpha in Keras.
    """

    dtype: jnp.dtype = jnp.dtype("float32")
    width: float = 1.0

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Maps [B, S, S, 3], S from 32, to features [B, s, s, C]; s is S halved five times.

        At full width C is 1024. The names of the layers are Keras's. The first halving rounds up,
        the others down.
        """

        def make_norm(name: str, block: str) -> BatchNorm:
            return BatchNorm(EPSILON, block, self.dtype, name=f"{name}_bn")

        def make_conv(name: str, channels: int, kernel: int, stride: int = 1) -> Conv:
            kept, sides, strides = int(self.width * channels), (kernel, kernel), (stride, stride)
            return Conv(kept, sides, strides, use_bias=False, dtype=self.dtype, name=name)

        hidden, norm = make_conv("conv1", STEM_WIDTH, 3, 2)(inputs), make_norm("conv1", "stem")
        for number, (channels, stride) in enumerate(PAIRS, start=1):
            block = f"block{_CHANNELS.index(channels) + 1}"
            depthwise, pointwise = f"conv_dw_{number}", f"conv_pw_{number}"
            padding = "SAME" if stride == 1 else _BELOW_AND_RIGHT
            layer = DepthwiseConv(
                (3, 3), (stride, stride), padding, dtype=self.dtype, name=depthwise
            )
            next_norm = make_norm(depthwise, block)
            hidden, _ = apply_between(layer, norm, next_norm, nn.relu6, hidden, mode)
            hidden, norm = make_conv(pointwise, channels, 1)(hidden), make_norm(pointwise, block)
        return nn.relu6(norm(hidden, mode))

    def last_map(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Computes the last convolution's activated output, which is the features themselves."""
        return self(inputs, mode)

    def after_map(self, last_map: jax.Array) -> jax.Array:
        """Returns the features for a `last_map`: they are the same."""
        return last_map


BACKBONE = Backbone(
    module=MobileNet,
    blocks=BLOCKS,
    preprocessing=PLUS_MINUS_ONE,
    pooling="average",
    extra_width=EXTRA_WIDTH,
    dropout_rate=HEAD_DROPOUT,
)
