"""Random erasing (Zhong et al. 2020): replaces a rectangle of an image with noise."""

import jax
import jax.numpy as jnp

# The paper's limits.
AREA = (0.02, 0.4)  # smallest and largest share of the image
ASPECT = 0.3  # smallest height over width; the largest is its reciprocal


def erase(images: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
    """Replaces a rectangle of each image, with the given probability, by uniform noise in 0..255.

    The rectangle's area is drawn uniformly; then its aspect ratio, uniformly in the logarithm,
    among those with which that area fits into the image; then its position among those where it
    lies inside. The paper redraws all three until they fit, which would need a loop of unknown
    length.

    Args:
        images: float32 [B, S, S], or [B, S, S, 3], in 0..255.
        keys: PRNG keys [B], one per image.
        probability: Probability that an image is erased, 0 to 1.

    Returns:
        Images of the same shape, float32 in 0..255. The noise of colour images is in colour.
    """

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        for_box, for_noise = jax.random.split(key)
        draws = jax.random.uniform(for_box, (5,))
        size = image.shape[0]
        area = AREA[0] + (AREA[1] - AREA[0]) * draws[1]
        narrow = jnp.log(jnp.maximum(ASPECT, area))
        aspect = jnp.exp(narrow * (2 * draws[2] - 1))
        height, width = (
            jnp.round(size * jnp.minimum(side, 1))
            for side in (jnp.sqrt(area * aspect), jnp.sqrt(area / aspect))
        )
        rows, columns = _place(draws[3], height, size), _place(draws[4], width, size)
        inside = rows[:, None] & columns[None, :]
        inside = inside.reshape(*inside.shape, *[1] * (image.ndim - 2))
        noise = jax.random.bits(for_noise, image.shape, jnp.uint8).astype(jnp.float32)
        return jnp.where(inside & (draws[0] < probability), noise, image)

    return jax.vmap(one)(images, keys)


def _place(draw: jax.Array, side: jax.Array, size: int) -> jax.Array:
    """Places an interval of `side` pixels among `size` pixels and returns its mask: bool [size].

    All starts with which it lies inside are equally likely for a uniform `draw` in [0, 1).
    """
    start = jnp.minimum(jnp.floor(draw * (size - side + 1)), size - side)
    pixels = jnp.arange(size)
    return (pixels >= start) & (pixels < start + side)
