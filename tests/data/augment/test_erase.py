"""Checks that random erasing draws rectangles of noise as the paper does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from faceemo.data.augment.erase import erase

COUNT, SIZE = 2000, 64


@functools.cache
def make_keys():
    """Makes a key per image."""
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.PRNGKey(1), i))(jnp.arange(COUNT))


@pytest.fixture(scope="module")
def erased():
    """Erased images of -1, a value that the noise never has."""
    images = jnp.full((COUNT, SIZE, SIZE), -1.0)
    return np.asarray(jax.jit(erase, static_argnums=2)(images, make_keys(), 0.6))


@pytest.fixture(scope="module")
def sides(erased):
    """Heights and widths of the rectangles, in pixels."""
    hit = erased != -1
    hit = hit[hit.any((1, 2))]
    rows, columns = hit.any(2), hit.any(1)
    np.testing.assert_array_equal(hit, rows[:, :, None] & columns[:, None, :])
    return rows.sum(1), columns.sum(1)


def test_the_erased_share_is_the_probability(erased):
    share = (erased != -1).any((1, 2)).mean()
    assert share == pytest.approx(0.6, abs=0.04)


def test_areas_are_uniform_and_aspects_within_limits(sides):
    heights, widths = sides
    areas = heights * widths / SIZE**2
    assert stats.kstest(areas, stats.uniform(0.02, 0.38).cdf).statistic < 0.05
    aspects = heights / widths
    assert aspects.min() > 0.3 * 0.88  # whole pixels
    assert aspects.max() < 1 / 0.3 * 1.12
    assert np.mean(np.log(aspects)) == pytest.approx(0, abs=0.05)
    assert np.std(np.log(aspects)) == pytest.approx(np.log(1 / 0.3) / np.sqrt(3), abs=0.1)


def test_every_position_inside_is_equally_likely(erased):
    """The margins before and after the rectangles are equally wide on average."""
    hit = erased != -1
    hit = hit[hit.any((1, 2))]
    for axis in (1, 2):
        line = hit.any(axis)
        before, after = line.argmax(1), line[:, ::-1].argmax(1)
        assert np.mean(before / np.maximum(before + after, 1)) == pytest.approx(0.5, abs=0.03)
        assert min(before.min(), after.min()) == 0


def test_the_noise_fills_the_range_evenly(erased):
    noise = erased[erased != -1]
    assert stats.kstest(noise[::50], stats.uniform(0, 256).cdf).statistic < 0.02
    assert (noise.min(), noise.max()) == (0, 255)


@pytest.mark.slow
def test_erasing_depends_on_the_images_own_key_alone():
    images = jax.random.uniform(jax.random.PRNGKey(0), (6, 20, 20)) * 255
    together = erase(images, make_keys()[:6], 0.9)
    for place in (0, 3, 5):
        alone = erase(images[place : place + 1], make_keys()[place : place + 1], 0.9)
        np.testing.assert_array_equal(alone[0], together[place])
    np.testing.assert_array_equal(erase(images, make_keys()[:6], 0.0), images)
