"""Resizing and random augmentation on the device, by one bilinear resampling of the stored pixels.

`faceemo.config.augmentation` holds the levels. Every draw depends on the image's own key alone.
"""

import math

import jax
import jax.numpy as jnp

from faceemo.config.augmentation import Augmentation
from faceemo.data.augment.fast_power import power


def image_keys(key: jax.Array, epoch: jax.Array, index: jax.Array) -> jax.Array:
    """Derives one PRNG key per image, which depends on nothing but (key, epoch, index).

    Args:
        key: The run's PRNG key.
        epoch: The epoch's number, an int32 scalar.
        index: The images' positions in the training set, int32 [B].

    Returns:
        PRNG keys [B].
    """
    key = jax.random.fold_in(key, epoch)
    return jax.vmap(lambda place: jax.random.fold_in(key, place))(index)


def augment(images: jax.Array, keys: jax.Array, limits: Augmentation, size: int) -> jax.Array:
    """Resizes every image under its own random transform.

    Args:
        images: Grey images, uint8 [B, H, W], or colour ones, uint8 [B, H, W, 3]. All channels of an
            image get the same transform, contrast and gamma.
        keys: PRNG keys [B], see `image_keys`.
        limits: A level of `faceemo.config.AUGMENTATIONS`, or any other limits of the draws.
        size: Side of the resulting images, in pixels.

    Returns:
        float32 [B, size, size], or [B, size, size, 3], in 0..255.
    """
    if limits == Augmentation():
        return enlarge(images, size)
    draws = jax.vmap(lambda key: jax.random.uniform(key, (7,)))(keys)

    def between(column: int, low: float, high: float) -> jax.Array:
        return low + (high - low) * draws[:, column]

    transforms = affine(
        shift_x=between(0, -limits.shift, limits.shift),
        shift_y=between(1, -limits.shift, limits.shift),
        zoom_x=between(2, 1 - limits.zoom, 1 + limits.zoom),
        zoom_y=between(3, 1 - limits.zoom, 1 + limits.zoom),
        flip=draws[:, 4] < limits.flip,
        degrees=between(5, -limits.rotation, limits.rotation),
    )
    result = resample(images, transforms, size)
    if limits.stretch_contrast:
        result = stretch_contrast(result)
    if limits.gamma != (1.0, 1.0):
        result = apply_gamma(result, between(6, *limits.gamma))
    return result


def enlarge(images: jax.Array, size: int) -> jax.Array:
    """Resizes uint8 [B, H, W] to float32 [B, size, size] in 0..255, without augmentation.

    Colour images, uint8 [B, H, W, 3], become float32 [B, size, size, 3].

    Bilinear with half-pixel centres: the same rule as `resample` with the identity, so that
    training and evaluation resize alike. The rule is separable, hence two small matrix products.
    """
    down = interpolation_weights(images.shape[1], size)
    across = interpolation_weights(images.shape[2], size)
    exact = jax.lax.Precision.HIGHEST
    rule = "yh,bhw,xw->byx" if images.ndim == 3 else "yh,bhwc,xw->byxc"
    return jnp.einsum(rule, down, images.astype(jnp.float32), across, precision=exact)


def affine(*, shift_x, shift_y, zoom_x, zoom_y, flip, degrees) -> jax.Array:
    """Makes affine maps from positions in the result to positions in the source.

    Positions are measured from the centre in units of the side: -0.5 to 0.5 spans the image.

    Args:
        shift_x: Horizontal offset of the position in the source, in widths, float [B].
        shift_y: Vertical offset (positive is downwards), in heights, float [B].
        zoom_x: Share of the source's width that the result spans (below 1 magnifies), float [B].
        zoom_y: Share of the source's height that the result spans, float [B].
        flip: Whether left and right are exchanged, bool [B].
        degrees: Clockwise rotation of the result, float [B].

    Returns:
        float32 [B, 2, 3]: The rows give the source's x and y from (x, y, 1) of the result.
    """
    angle = degrees * (math.pi / 180)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    mirror = jnp.where(flip, -1.0, 1.0)
    x_row = jnp.stack([mirror * cos * zoom_x, mirror * sin * zoom_y, shift_x], axis=-1)
    y_row = jnp.stack([-sin * zoom_x, cos * zoom_y, shift_y], axis=-1)
    return jnp.stack([x_row, y_row], axis=1)


def resample(images: jax.Array, transforms: jax.Array, size: int) -> jax.Array:
    """Resamples uint8 [B, H, W] through affine maps [B, 2, 3] into float32 [B, size, size].

    Bilinear; positions beyond the edge take the nearest pixel. The four neighbours of a position
    are packed into one 32-bit word beforehand, so that it costs one gather instead of four. Colour
    images, uint8 [B, H, W, 3], become float32 [B, size, size, 3].
    """
    count, height, width, *channels = images.shape
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
    edges = ((0, 0), (0, 1), (0, 1), *((0, 0) for _ in channels))
    padded = jnp.pad(images, edges, mode="edge").astype(jnp.uint32)
    quads = (
        padded[:, :-1, :-1]
        | padded[:, :-1, 1:] << 8
        | padded[:, 1:, :-1] << 16
        | padded[:, 1:, 1:] << 24
    ).reshape(-1, *channels)
    first = jnp.arange(count, dtype=jnp.int32) * (height * width)

    def read(x: jax.Array, y: jax.Array, first: jax.Array) -> jax.Array:
        left, top = jnp.floor(x), jnp.floor(y)
        where = first + top.astype(jnp.int32) * width + left.astype(jnp.int32)
        across, down = (
            distance.reshape(*distance.shape, *(1 for _ in channels))
            for distance in (x - left, y - top)
        )
        return _blend(quads.at[where].get(mode="promise_in_bounds"), across, down)

    if jax.default_backend() != "cpu":
        return read(x, y, first[:, None, None])
    # XLA would fuse the gather with all that comes before it and recompute quads and positions for
    # every pixel: six times slower. The inputs of a scan are computed before it starts, and one
    # value of x then gives both the neighbour and the distance to it.
    return jax.lax.scan(lambda _, image: (None, read(*image)), None, (x, y, first))[1]


def _blend(quad: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Interpolates between four neighbours, one byte each, at x and y in 0 to 1; float32."""

    def corner(shift: int) -> jax.Array:
        return ((quad >> shift) & 0xFF).astype(jnp.float32)

    upper = corner(0) + x * (corner(8) - corner(0))
    lower = corner(16) + x * (corner(24) - corner(16))
    return upper + y * (lower - upper)


def stretch_contrast(images: jax.Array) -> jax.Array:
    """Scales each image so that its minimum is 0 and its maximum 255; constant images stay.

    Args:
        images: float32 [B, S, S], or [B, S, S, 3], whose channels share minimum and maximum, in
            0..255.
    """
    within = tuple(range(1, images.ndim))
    low = images.min(axis=within, keepdims=True)
    span = images.max(axis=within, keepdims=True) - low
    return jnp.where(span > 0, (images - low) * (255 / jnp.where(span > 0, span, 1)), images)


def apply_gamma(images: jax.Array, gamma: jax.Array) -> jax.Array:
    """Raises brightness, as a share of 255, to the power gamma.

    Args:
        images: float32 [B, S, S], or [B, S, S, 3], in 0..255.
        gamma: Exponent of each image, float32 [B]; below 1 brightens.
    """
    return 255 * power(jnp.clip(images, 0, 255) / 255, gamma.reshape(-1, *[1] * (images.ndim - 1)))


def interpolation_weights(source: int, size: int) -> jax.Array:
    """Computes the weight of each source pixel at each position: float32 [size, source]."""
    place = jnp.clip((jnp.arange(size) + 0.5) * (source / size) - 0.5, 0.0, source - 1.0)
    distance = jnp.abs(place[:, None] - jnp.arange(source)[None, :])
    return jnp.maximum(0.0, 1.0 - distance).astype(jnp.float32)
