"""A network of six convolutions in MobileNet's place, for tests that do not depend on the network.

To compile a training step of MobileNet takes most of the time of a short run.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from faceemo import models
from faceemo.models import mobilenet
from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.layers import Conv, Mode

# Name and width of one convolution of each of MobileNet's blocks.
LAYERS = (
    *(("conv1", 8), ("conv_pw_1", 8), ("conv_pw_2", 12)),
    *(("conv_pw_4", 12), ("conv_pw_6", 16), ("conv_pw_12", 24)),
)


class SmallNetwork(nn.Module):
    """Six convolutions, each with BatchNorm and ReLU6; the first five halve the side."""

    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Maps [B, S, S, 3], S from 32, to features [B, ceil(S / 32), ceil(S / 32), 24]."""
        hidden = inputs
        for (name, width), (block, _) in zip(LAYERS, mobilenet.BLOCKS, strict=True):
            stride = 1 if block == "block5" else 2
            side = 3 if block == "stem" else 2
            sides, strides = (side, side), (stride, stride)
            layer = Conv(width, sides, strides, use_bias=False, dtype=self.dtype, name=name)
            normalise = BatchNorm(mobilenet.EPSILON, block, self.dtype, name=f"{name}_bn")
            hidden = nn.relu6(normalise(layer(hidden), mode))
        return hidden

    def last_map(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Computes the features, which are the last convolution's activated output."""
        return self(inputs, mode)

    def after_map(self, last_map: jax.Array) -> jax.Array:
        """Returns the features for a `last_map`: they are the same."""
        return last_map


def replace_mobilenet(monkeypatch):
    """Makes every network named 'mobilenet' that is built in this process the small one."""
    small = dataclasses.replace(mobilenet.BACKBONE, module=SmallNetwork, extra_width=16)
    monkeypatch.setitem(models.NETWORKS, "mobilenet", small)
