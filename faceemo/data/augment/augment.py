"""Enlargement and augmentation on the device: one bilinear resampling from the stored pixels.

Levels as in the study: 'low' shifts, zooms and flips; 'mid' also rotates; 'high' also stretches the
contrast and applies a gamma. All draws are uniform, and a function of the image's own key alone.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from faceemo.data.augment.fast_power import power


@dataclasses.dataclass(frozen=True)
class Strength:
    """The limits within which one level draws."""

    shift: float = 0.0  # of the width and of the height, either way
    zoom: float = 0.0  # factor 1 - zoom to 1 + zoom, each axis its own
    flip: float = 0.0  # probability of a mirror image
    rotation: float = 0.0  # degrees, either way
    stretch: bool = False  # the image's minimum and maximum become 0 and 255
    gamma: tuple[float, float] = (1.0, 1.0)  # exponent of brightness in 0..1


_LOW = Strength(shift=0.05, zoom=0.05, flip=0.5)
_MID = dataclasses.replace(_LOW, rotation=15.0)
_HIGH = dataclasses.replace(_MID, stretch=True, gamma=(0.5, 2.0))
LEVELS = {"none": Strength(), "low": _LOW, "mid": _MID, "high": _HIGH}


def image_keys(key: jax.Array, epoch: jax.Array, index: jax.Array) -> jax.Array:
    """One key per image that depends on nothing but (key, epoch, index).

    Args:
        key: of the run.
        epoch: int32 scalar.
        index: int32 [B], the images' places in the training set.

    Returns:
        PRNG keys [B].
    """
    key = jax.random.fold_in(key, epoch)
    return jax.vmap(lambda place: jax.random.fold_in(key, place))(index)


def augment(images: jax.Array, keys: jax.Array, strength: Strength, size: int) -> jax.Array:
    """Enlarges every image under its own random transform.

    Args:
        images: uint8 [B, H, W].
        keys: PRNG keys [B], see `image_keys`.
        strength: one of `LEVELS`, or limits of your own.
        size: side of the result, pixels.

    Returns:
        float32 [B, size, size] in 0..255.
    """
    if strength == LEVELS["none"]:
        return enlarge(images, size)
    draws = jax.vmap(lambda key: jax.random.uniform(key, (7,)))(keys)

    def between(column: int, low: float, high: float) -> jax.Array:
        return low + (high - low) * draws[:, column]

    transforms = affine(
        shift_x=between(0, -strength.shift, strength.shift),
        shift_y=between(1, -strength.shift, strength.shift),
        zoom_x=between(2, 1 - strength.zoom, 1 + strength.zoom),
        zoom_y=between(3, 1 - strength.zoom, 1 + strength.zoom),
        flip=draws[:, 4] < strength.flip,
        degrees=between(5, -strength.rotation, strength.rotation),
    )
    result = resample(images, transforms, size)
    if strength.stretch:
        result = stretch_contrast(result)
    if strength.gamma != (1.0, 1.0):
        result = apply_gamma(result, between(6, *strength.gamma))
    return result


def enlarge(images: jax.Array, size: int) -> jax.Array:
    """uint8 [B, H, W] to float32 [B, size, size] in 0..255, bilinear with half-pixel centres.

    The same rule as `resample` with the identity, so that an image is seen alike in training and in
    evaluation; separable, hence two small matrix products.
    """
    down = _interpolation(images.shape[1], size)
    across = _interpolation(images.shape[2], size)
    exact = jax.lax.Precision.HIGHEST
    return jnp.einsum("yh,bhw,xw->byx", down, images.astype(jnp.float32), across, precision=exact)


def affine(*, shift_x, shift_y, zoom_x, zoom_y, flip, degrees) -> jax.Array:
    """Maps from places in the result to places in the source, about the centre.

    Places are measured from the centre in units of the side, so -0.5 to 0.5 spans the image.

    Args:
        shift_x: float [B], by what share of the width the source is read to the right.
        shift_y: float [B], likewise downwards.
        zoom_x: float [B], how many times its width of the source the result spans (< 1 magnifies).
        zoom_y: float [B], likewise for the height.
        flip: bool [B], whether left and right change places.
        degrees: float [B], how far the result is turned clockwise.

    Returns:
        float32 [B, 2, 3]: rows give x and y of the source from (x, y, 1) of the result.
    """
    angle = degrees * (math.pi / 180)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    mirror = jnp.where(flip, -1.0, 1.0)
    x_row = jnp.stack([mirror * cos * zoom_x, mirror * sin * zoom_y, shift_x], axis=-1)
    y_row = jnp.stack([-sin * zoom_x, cos * zoom_y, shift_y], axis=-1)
    return jnp.stack([x_row, y_row], axis=1)


def resample(images: jax.Array, transforms: jax.Array, size: int) -> jax.Array:
    """Reads uint8 [B, H, W] through affine maps [B, 2, 3] into float32 [B, size, size].

    Bilinear; beyond the edge stands the nearest pixel. The four neighbours of a place are packed
    into one 32-bit word beforehand, so that a place costs one gather instead of four.
    """
    count, height, width = images.shape
    place = (jnp.arange(size, dtype=jnp.float32) + 0.5) / size - 0.5
    x = (
        transforms[:, 0, 0, None, None] * place[None, None, :]
        + transforms[:, 0, 1, None, None] * place[None, :, None]
        + transforms[:, 0, 2, None, None]
    )
    y = (
        transforms[:, 1, 0, None, None] * place[None, None, :]
        + transforms[:, 1, 1, None, None] * place[None, :, None]
        + transforms[:, 1, 2, None, None]
    )
    x = jnp.clip((x + 0.5) * width - 0.5, 0, width - 1)
    y = jnp.clip((y + 0.5) * height - 0.5, 0, height - 1)
    padded = jnp.pad(images, ((0, 0), (0, 1), (0, 1)), mode="edge").astype(jnp.uint32)
    quads = (
        padded[:, :-1, :-1]
        | padded[:, :-1, 1:] << 8
        | padded[:, 1:, :-1] << 16
        | padded[:, 1:, 1:] << 24
    ).reshape(-1)
    first = jnp.arange(count, dtype=jnp.int32) * (height * width)

    def read(x: jax.Array, y: jax.Array, first: jax.Array) -> jax.Array:
        left, top = jnp.floor(x), jnp.floor(y)
        where = first + top.astype(jnp.int32) * width + left.astype(jnp.int32)
        return _blend(quads.at[where].get(mode="promise_in_bounds"), x - left, y - top)

    if jax.default_backend() != "cpu":
        return read(x, y, first[:, None, None])
    # XLA would make one loop of the gather and all that comes before it, and there work out quads
    # and places anew for every pixel, from its number: six times slower. What enters a scan has to
    # be there first; and one value of x then gives both the neighbour and the distance to it.
    return jax.lax.scan(lambda _, image: (None, read(*image)), None, (x, y, first))[1]


def _blend(quad: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Of four neighbours, one byte each, at x and y (0 to 1) between them; float32."""

    def corner(shift: int) -> jax.Array:
        return ((quad >> shift) & 0xFF).astype(jnp.float32)

    upper = corner(0) + x * (corner(8) - corner(0))
    lower = corner(16) + x * (corner(24) - corner(16))
    return upper + y * (lower - upper)


def stretch_contrast(images: jax.Array) -> jax.Array:
    """Makes each image's minimum 0 and its maximum 255; a constant image stays as it is.

    Args:
        images: float32 [B, S, S] in 0..255.
    """
    low = images.min(axis=(1, 2), keepdims=True)
    span = images.max(axis=(1, 2), keepdims=True) - low
    return jnp.where(span > 0, (images - low) * (255 / jnp.where(span > 0, span, 1)), images)


def apply_gamma(images: jax.Array, gamma: jax.Array) -> jax.Array:
    """Raises brightness, as a share of 255, to the power gamma (below 1 brightens).

    Args:
        images: float32 [B, S, S] in 0..255.
        gamma: float32 [B].
    """
    return 255 * power(jnp.clip(images, 0, 255) / 255, gamma[:, None, None])


def _interpolation(source: int, size: int) -> jax.Array:
    """float32 [size, source]: the weights of `source` pixels in each of `size` places."""
    place = jnp.clip((jnp.arange(size) + 0.5) * (source / size) - 0.5, 0.0, source - 1.0)
    distance = jnp.abs(place[:, None] - jnp.arange(source)[None, :])
    return jnp.maximum(0.0, 1.0 - distance).astype(jnp.float32)
