"""ResNet50V2 (He et al. 2016, pre-activation) as keras.applications has it, without its top."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from faceemo.models.backbone import Backbone
from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.layers import Conv, Mode
from faceemo.models.layers.pooling import max_pool
from faceemo.models.preprocessing import PLUS_MINUS_ONE

# Name, channels of the narrow convolutions, number of residual blocks, stride of the last block.
STACKS = (("conv2", 64, 3, 2), ("conv3", 128, 4, 2), ("conv4", 256, 6, 2), ("conv5", 512, 3, 1))
BLOCKS = (
    ("conv1", r"backbone/conv1_.*"),
    ("conv2", r"backbone/conv2_.*"),
    ("conv3", r"backbone/conv3_.*"),
    ("conv4", r"backbone/conv4_.*"),
    ("conv5", r"backbone/(conv5|post)_.*"),
)
EXTRA_WIDTH = 4096
EPSILON = 1.001e-5
# Keras pads explicitly, which for some sizes differs from 'same'.
ONE_AROUND = ((1, 1), (1, 1))
THREE_AROUND = ((3, 3), (3, 3))


class ResNet50V2(nn.Module):
    """The convolutional network.

    Attributes:
        dtype: Type of the computation and of the features.
    """

    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Maps [B, S, S, 3], S from 32, to features [B, ceil(S / 32), ceil(S / 32), 2048].

        The names of the layers are Keras's, and they are called in its order.
        """

        def convolve(
            hidden: jax.Array, name: str, width: int, kernel: int = 1, *, stride: int = 1, **rest
        ) -> jax.Array:
            layer = Conv(
                width, (kernel, kernel), (stride, stride), dtype=self.dtype, name=name, **rest
            )
            return layer(hidden)

        def bn_relu(hidden: jax.Array, name: str, block: str) -> jax.Array:
            layer = BatchNorm(EPSILON, block, self.dtype, name=f"{name}_bn")
            return nn.relu(layer(hidden, mode))

        hidden = convolve(inputs, "conv1_conv", 64, 7, stride=2, padding=THREE_AROUND)
        # As in Keras, the padding is zero although the values may be negative.
        hidden = max_pool(jnp.pad(hidden, ((0, 0), *ONE_AROUND, (0, 0))), side=3, stride=2)
        for stack, width, count, last_stride in STACKS:
            for number in range(1, count + 1):
                name = f"{stack}_block{number}"
                stride = last_stride if number == count else 1
                preactivated = bn_relu(hidden, f"{name}_preact", stack)
                residual = convolve(preactivated, f"{name}_1_conv", width, use_bias=False)
                residual = bn_relu(residual, f"{name}_1", stack)
                residual = convolve(
                    residual,
                    f"{name}_2_conv",
                    width,
                    3,
                    stride=stride,
                    padding=ONE_AROUND,
                    use_bias=False,
                )
                residual = bn_relu(residual, f"{name}_2", stack)
                if number == 1:
                    shortcut = convolve(preactivated, f"{name}_0_conv", 4 * width)
                else:
                    shortcut = hidden[:, ::stride, ::stride]
                hidden = shortcut + convolve(residual, f"{name}_3_conv", 4 * width)
        return bn_relu(hidden, "post", "conv5")

    def last_map(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Computes the last convolution's activated output, which is the features themselves."""
        return self(inputs, mode)

    def after_map(self, last_map: jax.Array) -> jax.Array:
        """Returns the features for a `last_map`: they are the same."""
        return last_map


BACKBONE = Backbone(
    module=ResNet50V2,
    blocks=BLOCKS,
    preprocessing=PLUS_MINUS_ONE,
    pooling="average",
    extra_width=EXTRA_WIDTH,
)
