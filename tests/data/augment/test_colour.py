"""Augmentation treats the channels of a colour image alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.config import AUGMENTATIONS
from faceemo.data.augment.augment import augment, stretch_contrast
from faceemo.data.augment.erase import erase
from faceemo.data.augment.mixing import Mixing, mix

RNG = np.random.default_rng(0)
GREY = RNG.integers(30, 220, (6, 20, 20), np.uint8)
KEYS = jax.vmap(jax.random.PRNGKey)(jnp.arange(6))


def thrice(images):
    return np.repeat(np.asarray(images)[..., None], 3, axis=-1)


@pytest.mark.parametrize("level", AUGMENTATIONS)
def test_a_grey_image_in_three_channels_is_augmented_as_the_grey_one(level):
    limits = AUGMENTATIONS[level]
    found = augment(jnp.asarray(thrice(GREY)), KEYS, limits, 32)
    expected = augment(jnp.asarray(GREY), KEYS, limits, 32)
    assert found.shape == (6, 32, 32, 3)
    np.testing.assert_allclose(found, thrice(expected), atol=1e-3)


def test_channels_stay_apart():
    """Without steps that share statistics, each channel is augmented as a grey image of its own."""
    colour = RNG.integers(0, 256, (6, 20, 20, 3), np.uint8)
    found = augment(jnp.asarray(colour), KEYS, AUGMENTATIONS["mid"], 32)
    for channel in range(3):
        alone = augment(jnp.asarray(colour[..., channel]), KEYS, AUGMENTATIONS["mid"], 32)
        np.testing.assert_allclose(found[..., channel], alone, atol=1e-3)


def test_a_stretch_of_contrast_keeps_the_hue():
    """Minimum and maximum are those of the whole image, not of each channel: red stays red."""
    reddish = RNG.uniform((100, 20, 40), (200, 40, 50), (4, 20, 20, 3)).astype(np.float32)
    low, high = (f(reddish, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    found = np.asarray(stretch_contrast(jnp.asarray(reddish)))
    np.testing.assert_allclose(found, (reddish - low) * 255 / (high - low), atol=1e-2)
    assert (found[..., 0] > found[..., 1:].max(axis=-1)).all()


@pytest.mark.parametrize("mixing", [Mixing(mixup=0.4), Mixing(cutmix=1.0), Mixing(0.4, 1.0)])
def test_colour_images_are_mixed_as_grey_ones(mixing):
    images, others = jnp.float32(GREY), jnp.float32(GREY[::-1])
    expected, shares = mix(images, others, KEYS, mixing)
    found, colour_shares = mix(
        jnp.asarray(thrice(images)), jnp.asarray(thrice(others)), KEYS, mixing
    )
    np.testing.assert_allclose(found, thrice(expected), atol=1e-3)
    np.testing.assert_array_equal(colour_shares, shares)


def test_the_same_rectangle_of_all_channels_is_erased():
    blank = jnp.full((6, 32, 32), 300.0)  # which noise never is
    expected = np.asarray(erase(blank, KEYS, 1.0)) != 300
    found = np.asarray(erase(jnp.asarray(thrice(blank)), KEYS, 1.0)) != 300
    assert expected.any()
    np.testing.assert_array_equal(found, thrice(expected))
