"""EfficientNetB0 (Tan and Le 2019) as keras.applications has it, without its top."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from faceemo.models.backbone import Backbone
from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.depthwise_between import apply_between
from faceemo.models.layers.layers import Conv, DepthwiseConv, Mode, dropout
from faceemo.models.preprocessing import IDENTITY

# Side of the depthwise kernel, repeats, output channels, expansion factor and stride of the first
# repeat, for each block.
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
BLOCKS = (
    ("stem", r"backbone/(normalization/|stem_).*"),
    *((f"block{n}", rf"backbone/block{n}[a-d]_.*") for n in range(1, len(STAGES))),
    ("block7", r"backbone/(block7a|top)_.*"),
)
STEM_WIDTH, TOP_WIDTH, EXTRA_WIDTH = 32, 1280, 1280
HEAD_DROPOUT = 0.2
EPSILON = 1e-3  # Keras's default for BatchNorm
# Probability that a residual branch is dropped: from 0 in the first block it grows linearly, and
# would reach this value one block after the last.
DROP_CONNECT = 0.2
# Standard deviations of red, green and blue, in 0..1, on ImageNet.
IMAGENET_STDDEV = (0.229, 0.224, 0.225)

kernel_initializer = nn.initializers.variance_scaling(2.0, "fan_out", "truncated_normal")


class Normalization(nn.Module):
    """Keras's layer: (x - mean) / sqrt(variance) for each channel.

    Its seven numbers are in 'batch_stats', come with pretrained weights and never change: `mean`
    [3], `variance` [3] and, unused, `count` []. Without such weights it is the identity.
    """

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Normalises [B, H, W, C]."""
        shape = inputs.shape[-1:]
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        variance = self.variable("batch_stats", "variance", jnp.ones, shape, jnp.float32)
        self.variable("batch_stats", "count", jnp.zeros, (), jnp.float32)
        # Keras's epsilon() keeps the divisor from 0.
        deviation = jnp.maximum(jnp.sqrt(variance.value), 1e-7)
        return (inputs - mean.value.reshape(1, 1, 1, -1)) / deviation.reshape(1, 1, 1, -1)


class EfficientNetB0(nn.Module):
    """The convolutional network; it scales and normalises its input itself.

    Attributes:
        dtype: Type of the computation and of the features.
    """

    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Maps [B, S, S, 3] in 0..255, S from 32, to [B, ceil(S / 32), ceil(S / 32), 1280].

        The names of the layers are Keras's, and they are called in its order.
        """

        def convolve(hidden: jax.Array, name: str, width: int, kernel: int = 1, **rest):
            layer = Conv(
                width,
                (kernel, kernel),
                kernel_init=kernel_initializer,
                dtype=self.dtype,
                name=name,
                **rest,
            )
            return layer(hidden)

        def make_norm(name: str, block: str) -> BatchNorm:
            return BatchNorm(EPSILON, block, self.dtype, name=name)

        def compute_gate(averages: jax.Array | None, name: str, narrow: int) -> jax.Array:
            """Computes a gate for each channel from the averages of all channels."""
            assert averages is not None
            gate = nn.swish(convolve(averages, f"{name}se_reduce", narrow))
            return nn.sigmoid(convolve(gate, f"{name}se_expand", averages.shape[-1]))

        hidden = Normalization(name="normalization")(inputs * (1 / 255))
        # Keras pads explicitly before strides, which at a known size equals its 'same'.
        hidden = convolve(hidden, "stem_conv", STEM_WIDTH, 3, strides=(2, 2), use_bias=False)
        norm = make_norm("stem_bn", "stem")
        depth, last_depth = 0, sum(stage[1] for stage in STAGES)
        for number, (kernel, repeats, width, expand, first_stride) in enumerate(STAGES, start=1):
            block = f"block{number}"
            for repeat in range(repeats):
                name = f"{block}{'abcd'[repeat]}_"
                stride = first_stride if repeat == 0 else 1
                entering, channels = hidden, hidden.shape[-1]
                if expand > 1:
                    hidden = convolve(
                        hidden, f"{name}expand_conv", expand * channels, use_bias=False
                    )
                    norm = make_norm(f"{name}expand_bn", block)
                depthwise = DepthwiseConv(
                    (kernel, kernel),
                    (stride, stride),
                    kernel_init=kernel_initializer,
                    dtype=self.dtype,
                    name=f"{name}dwconv",
                )
                next_norm = make_norm(f"{name}bn", block)
                hidden, averages = apply_between(
                    depthwise, norm, next_norm, nn.swish, hidden, mode, average=True
                )
                hidden *= compute_gate(averages, name, channels // 4)
                hidden = convolve(hidden, f"{name}project_conv", width, use_bias=False)
                hidden = make_norm(f"{name}project_bn", block)(hidden, mode)
                if stride == 1 and channels == width:
                    rate = DROP_CONNECT * depth / last_depth
                    if rate and block in mode.training and mode.keys is not None:
                        # Place 0 is the head's; the depth is at least 1 where the rate is not 0.
                        hidden = dropout(hidden, rate, mode.keys, place=depth, whole=True)
                    hidden += entering
                depth += 1
        hidden = convolve(hidden, "top_conv", TOP_WIDTH, use_bias=False)
        return nn.swish(make_norm("top_bn", "block7")(hidden, mode))

    def last_map(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Computes the last convolution's activated output, which is the features themselves."""
        return self(inputs, mode)

    def after_map(self, last_map: jax.Array) -> jax.Array:
        """Returns the features for a `last_map`: they are the same."""
        return last_map


BACKBONE = Backbone(
    module=EfficientNetB0,
    blocks=BLOCKS,
    preprocessing=IDENTITY,
    pooling="average",
    extra_width=EXTRA_WIDTH,
    dropout_rate=HEAD_DROPOUT,
)
