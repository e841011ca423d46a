"""Random erasing (Zhong et al. 2020): a rectangle of an image becomes noise."""

import jax
import jax.numpy as jnp

# The paper's limits: the rectangle's share of the image, and its height over its width.
AREA = (0.02, 0.4)
ASPECT = 0.3  # to its reciprocal


def erase(images: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
    """Erases a rectangle of each image with a probability, the noise uniform in 0..255.

    Its area is drawn uniformly, then its aspect (in the logarithm, so that tall and wide are alike)
    among those with which that area fits, then its place among those where it lies inside. The
    paper draws all three until they fit, which a device cannot.

    Args:
        images: float32 [B, S, S] in 0..255.
        keys: PRNG keys [B], one per image.
        probability: from 0 to 1.
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
        rows, columns = _stretch(draws[3], height, size), _stretch(draws[4], width, size)
        inside = rows[:, None] & columns[None, :]
        noise = jax.random.bits(for_noise, image.shape, jnp.uint8).astype(jnp.float32)
        return jnp.where(inside & (draws[0] < probability), noise, image)

    return jax.vmap(one)(images, keys)


def _stretch(draw: jax.Array, side: jax.Array, size: int) -> jax.Array:
    """Which of `size` places a stretch of whole length `side` covers: bool [size].

    It lies inside; of all starts that allow it, `draw` (0 to below 1) chooses one evenly.
    """
    start = jnp.minimum(jnp.floor(draw * (size - side + 1)), size - side)
    places = jnp.arange(size)
    return (places >= start) & (places < start + side)
