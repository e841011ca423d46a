"""The classification head on top of a backbone: pooling, dropout, dense layers, logits."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from faceemo.models.layers.layers import Dense, Mode, dropout


class Head(nn.Module):
    """Layers that map a backbone's features to logits.

    Attributes:
        num_classes: Width of the last layer, `predictions`.
        pooling: 'flatten', or 'average' over all positions.
        dense: (name, width) of the ReLU layers before the last, in order.
        dropout_rate: Dropout rate of the pooled features, in training.
        dtype: Type of the computation; that of `predictions` is never below float32.
    """

    num_classes: int
    pooling: str
    dense: tuple[tuple[str, int], ...] = ()
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, features: jax.Array, mode: Mode) -> jax.Array:
        """Maps features [B, h, w, C] to logits [B, num_classes], which are at least float32."""
        if self.pooling == "flatten":
            hidden = features.reshape(features.shape[0], -1)
        else:
            hidden = features.mean((1, 2))
        if self.dropout_rate and "head" in mode.training and mode.keys is not None:
            # Place 0 is the head's; backbones count theirs from 1.
            hidden = dropout(hidden, self.dropout_rate, mode.keys, place=0)
        for name, width in self.dense:
            hidden = nn.relu(Dense(width, self.dtype, name=name)(hidden))
        return Dense(
            self.num_classes, jnp.promote_types(self.dtype, jnp.float32), name="predictions"
        )(hidden)
