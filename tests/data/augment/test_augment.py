"""Compares resampling with SciPy's and Pillow's, and checks the distribution of the draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from faceemo.config import AUGMENTATIONS
from faceemo.data.augment import augment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images():
    """Smooth random images, for which bilinear interpolation is well conditioned."""
    noise = np.random.default_rng(0).normal(size=(16, 48, 48))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2))
    low, high = smooth.min(axis=(1, 2), keepdims=True), smooth.max(axis=(1, 2), keepdims=True)
    return (30 + 180 * (smooth - low) / (high - low)).astype(np.uint8)


def keys(n, epoch=0):
    return augment.image_keys(jax.random.PRNGKey(7), epoch, jnp.arange(n))


def identity_but(n, **changes):
    """Makes n affine maps that change nothing except for `changes`."""
    arguments = {
        "shift_x": jnp.zeros(n),
        "shift_y": jnp.zeros(n),
        "zoom_x": jnp.ones(n),
        "zoom_y": jnp.ones(n),
        "flip": jnp.zeros(n, bool),
        "degrees": jnp.zeros(n),
    }
    return augment.affine(**arguments | changes)


@pytest.mark.parametrize("size", [48, 50, 96, 224])
def test_enlargement_equals_pillows(images, size):
    ours = np.asarray(augment.enlarge(images, size))
    for image, result in zip(images, ours, strict=True):
        pillow = Image.fromarray(image.astype(np.float32)).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        np.testing.assert_allclose(result, np.asarray(pillow), atol=2e-3)


def test_same_size_keeps_every_pixel(images):
    np.testing.assert_array_equal(np.asarray(augment.enlarge(images, 48)), images)


@pytest.mark.parametrize("size", [48, 100])
def test_resampling_with_the_identity_equals_enlargement(images, size):
    read = augment.resample(images, identity_but(len(images)), size)
    np.testing.assert_allclose(read, augment.enlarge(images, size), atol=5e-3)


@pytest.mark.parametrize("size", [48, 97])
def test_resampling_equals_scipys(images, size):
    """Bilinear, with the nearest pixel beyond the edge, for random affine maps."""
    draws = np.random.default_rng(1).uniform(-1, 1, (len(images), 2, 3)).astype(np.float32)
    maps = np.array([[1, 0, 0], [0, 1, 0]], np.float32) + draws * [0.3, 0.3, 0.2]
    ours = np.asarray(augment.resample(images, jnp.asarray(maps, jnp.float32), size))
    for result, oracle in zip(ours, resample_with_scipy(images, maps, size), strict=True):
        np.testing.assert_allclose(result, oracle, atol=0.02)


def test_compiled_resampling_never_mixes_the_neighbours_of_two_cells():
    """A position's cell and its distance within the cell must come from the same rounding."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 48), np.uint8)
    draws = np.random.default_rng(1).uniform(-1, 1, (2, 32, 2)).astype(np.float32)
    maps = augment.affine(
        shift_x=0.05 * draws[0, :, 0],
        shift_y=0.05 * draws[0, :, 1],
        zoom_x=1 + 0.05 * draws[1, :, 0],
        zoom_y=1 + 0.05 * draws[1, :, 1],
        flip=jnp.arange(32) % 2 == 0,
        degrees=15 * draws[0, :, 0],
    )
    ours = jax.jit(augment.resample, static_argnums=2)(noise, maps, 224)
    oracles = resample_with_scipy(noise, np.asarray(maps), 224)
    for result, oracle in zip(ours, oracles, strict=True):
        np.testing.assert_allclose(result, oracle, atol=0.05)


def resample_with_scipy(images, maps, size):
    """Yields each image, resampled through its map in float64."""
    place = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(place, place)
    homogeneous = np.stack([x, y, np.ones_like(x)])
    for image, matrix in zip(images, maps, strict=True):
        source_x, source_y = np.einsum("ij,jyx->iyx", matrix, homogeneous)
        where = np.stack([source_y, source_x]) * 48 + 23.5
        yield ndimage.map_coordinates(image.astype(float), where, order=1, mode="nearest")


def test_flip_mirrors(images):
    maps = identity_but(len(images), flip=jnp.ones(len(images), bool))
    flipped = augment.resample(images, maps, 48)
    np.testing.assert_allclose(flipped, images[:, :, ::-1], atol=1e-3)


def test_quarter_turn_is_clockwise(images):
    maps = identity_but(len(images), degrees=jnp.full(len(images), 90.0))
    turned = augment.resample(images, maps, 48)
    np.testing.assert_allclose(turned, np.rot90(images, -1, axes=(1, 2)), atol=2e-2)


def test_zoom_below_one_magnifies_the_centre(images):
    half = jnp.full(len(images), 0.5)
    maps = identity_but(len(images), zoom_x=half, zoom_y=half)
    inner = np.asarray(augment.resample(images, maps, 48))[:, 2:-2, 2:-2]
    crop = np.asarray(augment.enlarge(images[:, 12:36, 12:36], 48))[:, 2:-2, 2:-2]
    np.testing.assert_allclose(inner, crop, atol=1e-2)


def test_shift_moves_by_a_share_of_the_side(images):
    maps = identity_but(len(images), shift_x=jnp.full(len(images), 0.25))
    read = np.asarray(augment.resample(images, maps, 48))
    np.testing.assert_allclose(read[:, :, :36], images[:, :, 12:], atol=1e-3)
    np.testing.assert_allclose(read[:, :, 36:], np.repeat(images[:, :, -1:], 12, 2), atol=1e-3)


def test_draws_are_uniform_within_their_limits(monkeypatch):
    """Compares the maps that `augment` draws for many images with the limits of 'mid'."""
    drawn, affine = {}, augment.affine
    monkeypatch.setattr(augment, "affine", lambda **draws: drawn.update(draws) or affine(**draws))
    count = 4000
    augment.augment(np.zeros((count, 2, 2), np.uint8), keys(count), AUGMENTATIONS["mid"], 2)
    limits = {
        "shift_x": (-0.05, 0.05),
        "shift_y": (-0.05, 0.05),
        "zoom_x": (0.95, 1.05),
        "zoom_y": (0.95, 1.05),
        "degrees": (-15, 15),
    }
    for name, (low, high) in limits.items():
        share = (np.sort(np.asarray(drawn[name])) - low) / (high - low)
        assert share[0] >= 0, name
        assert share[-1] <= 1, name
        # Kolmogorov-Smirnov at the one-in-a-million level
        assert np.abs(share - np.linspace(0, 1, count)).max() < 2.7 / np.sqrt(count), name
    assert abs(np.asarray(drawn["flip"]).mean() - 0.5) < 0.04
    columns = np.stack([np.asarray(drawn[name]) for name in limits])
    assert np.abs(np.corrcoef(columns) - np.eye(len(limits))).max() < 0.08, "draws are independent"


def test_high_spans_the_range_whatever_the_brightness(images):
    """Contrast is stretched after the geometric transform: minimum 0, maximum 255."""
    high = AUGMENTATIONS["high"]
    result = np.asarray(augment.augment(images // 4, keys(len(images)), high, 96))
    np.testing.assert_allclose(result.min(axis=(1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(result.max(axis=(1, 2)), 255, atol=1e-2)


def test_gamma_is_a_power_of_brightness(images):
    bright = np.asarray(augment.enlarge(images, 48))
    gamma = np.full(len(images), 0.5, np.float32)
    np.testing.assert_allclose(
        augment.apply_gamma(bright, gamma), 255 * np.sqrt(bright / 255), atol=1e-2
    )


def test_a_constant_image_survives_the_stretch():
    grey = np.full((2, 8, 8), 90.0, np.float32)
    np.testing.assert_array_equal(augment.stretch_contrast(jnp.asarray(grey)), grey)


@pytest.mark.parametrize("level", AUGMENTATIONS)
def test_an_augmented_image_depends_on_its_own_key_alone(images, level):
    """It depends neither on its neighbours nor on its row; other epochs draw anew."""
    limits, indexes = AUGMENTATIONS[level], jnp.arange(len(images))
    apply = jax.jit(lambda batch, keys: augment.augment(batch, keys, limits, 64))
    whole = np.asarray(apply(images, keys(len(images))))
    back = np.asarray(apply(images[::-1], keys(len(images))[::-1]))[::-1]
    np.testing.assert_array_equal(whole, back)
    later = augment.image_keys(jax.random.PRNGKey(7), 1, indexes)
    assert (np.asarray(apply(images, later)) == whole).all() == (level == "none")
