"""VGG16 (Simonyan and Zisserman 2015, configuration D) as keras.applications has it, no top."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from faceemo.models.backbone import Backbone
from faceemo.models.layers.layers import Conv, Mode
from faceemo.models.layers.pooling import max_pool
from faceemo.models.preprocessing import BGR_MEAN

# Channels of the 3x3 convolutions in each block; 2x2 max pooling follows every block.
CHANNELS = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
BLOCKS = tuple(
    (f"block{number}", rf"backbone/block{number}_.*") for number, _ in enumerate(CHANNELS, start=1)
)


class VGG16(nn.Module):
    """The convolutional network; it has neither BatchNorm nor dropout.

    Attributes:
        dtype: Type of the computation and of the features.
    """

    dtype: jnp.dtype = jnp.dtype("float32")

    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Maps preprocessed [B, S, S, 3], S from 32, to features [B, S // 32, S // 32, 512]."""
        return self.after_map(self.last_map(inputs, mode))

    @nn.compact
    def last_map(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Computes the last convolution's output, activated: [B, S // 16, S // 16, 512]."""
        del mode  # the same in training and in inference
        hidden = inputs
        for block, widths in enumerate(CHANNELS, start=1):
            for position, width in enumerate(widths, start=1):
                name = f"block{block}_conv{position}"
                hidden = nn.relu(Conv(width, (3, 3), dtype=self.dtype, name=name)(hidden))
            if block < len(CHANNELS):
                hidden = max_pool(hidden, side=2, stride=2)
        return hidden

    def after_map(self, last_map: jax.Array) -> jax.Array:
        """Computes the features from the output of `last_map`, [B, h, w, 512]."""
        return max_pool(last_map, side=2, stride=2)


BACKBONE = Backbone(
    module=VGG16,
    blocks=BLOCKS,
    preprocessing=BGR_MEAN,
    pooling="flatten",
    dense=(("fc1", 4096), ("fc2", 4096)),
    extra_width=4096,
)
