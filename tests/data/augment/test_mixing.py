"""Checks mixup and CutMix against their papers, and that partners depend on the image alone."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from faceemo.data.augment.mixing import MixedBatch, Mixing, draw_partners, mix, training_batches
from faceemo.data.division import list_part
from faceemo.data.pipeline import Part
from tests.support.train.tiny import add_votes, make_split, tiny_config

pytestmark = pytest.mark.slow

COUNT, SIZE = 3000, 24


@functools.cache
def make_keys():
    """Makes a key per image."""
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.PRNGKey(3), i))(jnp.arange(COUNT))


def mix_ones_with_zeros(mixing):
    """Mixes images of ones with partners of zeros, and returns the images and their shares."""
    shape = (COUNT, SIZE, SIZE)
    images, share = jax.jit(mix, static_argnums=3)(
        jnp.ones(shape), jnp.zeros(shape), make_keys(), mixing
    )
    return np.asarray(images), np.asarray(share)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_blends_by_a_share_of_the_beta_distribution(alpha):
    images, share = mix_ones_with_zeros(Mixing(mixup=alpha))
    np.testing.assert_allclose(images, share[:, None, None] * np.ones((1, SIZE, SIZE)), rtol=1e-6)
    assert stats.kstest(share, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_cutmix_pastes_a_box_and_returns_the_share_outside_it():
    images, share = mix_ones_with_zeros(Mixing(cutmix=1.0))
    assert set(np.unique(images)) == {0, 1}
    np.testing.assert_allclose(share, images.mean((1, 2)), rtol=1e-5)
    pasted = images == 0
    rows, columns = pasted.any(2), pasted.any(1)
    np.testing.assert_array_equal(pasted, rows[:, :, None] & columns[:, None, :])
    for line in (rows, columns):
        assert (np.abs(np.diff(np.pad(line, [(0, 0), (1, 1)]).astype(int))).sum(1) <= 2).all()


def test_cutmix_draws_the_area_and_the_centre_evenly():
    """Boxes that no edge cuts are square; centres lie everywhere, so that edges cut some boxes."""
    images, share = mix_ones_with_zeros(Mixing(cutmix=1.0))
    rows, columns = (images == 0).any(2), (images == 0).any(1)
    whole = ~(rows[:, [0, -1]].any(1) | columns[:, [0, -1]].any(1))
    square = np.abs(rows[whole].sum(1) - columns[whole].sum(1)) <= 1
    assert square.all()
    middle = (images[:, SIZE // 2] == 0).mean(0)
    assert middle[SIZE // 2] > middle[0] > 0.15
    # the expected share by the same rule in NumPy, without rounding to pixels
    rng = np.random.default_rng(0)
    half, centre = np.sqrt(rng.uniform(size=100_000)) / 2, rng.uniform(size=(2, 100_000))
    sides = np.minimum(centre + half, 1) - np.maximum(centre - half, 0)
    expected = 1 - sides.prod(0)
    assert share.mean() == pytest.approx(expected.mean(), abs=0.02)
    assert np.quantile(share, 0.1) == pytest.approx(np.quantile(expected, 0.1), abs=0.04)


def test_with_both_each_image_draws_one_of_them_at_even_odds():
    images, _ = mix_ones_with_zeros(Mixing(mixup=4.0, cutmix=1.0))
    blended = np.array([len(np.unique(image)) == 1 and 0 < image[0, 0] < 1 for image in images])
    assert blended.mean() == pytest.approx(0.5, abs=0.04)
    assert set(np.unique(images[~blended])) == {0, 1}


def test_partners_are_other_images_and_equally_likely():
    counts = np.zeros((5, 5))
    for epoch in range(2000):
        counts[np.arange(5), draw_partners(5, 7, epoch)] += 1
    assert not counts.diagonal().any()
    assert counts[~np.eye(5, dtype=bool)] == pytest.approx(500, abs=100)
    np.testing.assert_array_equal(draw_partners(1, 7, 0), [0])


def test_pairs_do_not_depend_on_the_batch_size():
    """Image and partner are the same two in batches of any size; padding stays padding."""
    split = make_split(23, 0)
    pairs = {}
    for size in (4, 8, 23, 32):
        for batch in training_batches(split, tiny_config(batch_size=size, seed=7, mixup=0.2), 3):
            real = batch.mask > 0
            assert isinstance(batch, MixedBatch)
            other = batch.partner
            np.testing.assert_array_equal(other.images[real], split.images[other.index[real]])
            np.testing.assert_array_equal(other.labels[real], split.labels[other.index[real]])
            assert (other.index[~real] == -1).all()
            assert not other.images[~real].any()
            assert [leaf.dtype for leaf in batch[:4]] == [leaf.dtype for leaf in other[:4]]
            for one, two in zip(batch.index[real], other.index[real], strict=True):
                assert pairs.setdefault(one, two) == two
    assert len(pairs) == 23
    again = draw_partners(23, 7, 4)
    assert any(again[one] != two for one, two in pairs.items()), "another epoch, other pairs"


def test_partners_come_from_the_own_part_and_one_part_is_all():
    limits = [0, 3, 7, 11]  # 11 images in three parts
    for epoch in range(200):
        drawn = draw_partners(11, 3, epoch, 3)
        assert (drawn != np.arange(11)).all()
        for start, stop in itertools.pairwise(limits):
            assert ((drawn[start:stop] >= start) & (drawn[start:stop] < stop)).all()
    # golden numbers of commit 4deaf9e, before there were parts
    assert draw_partners(11, 3, 2).tolist() == [9, 7, 5, 0, 7, 4, 3, 6, 5, 3, 3]
    np.testing.assert_array_equal(draw_partners(2, 7, 0, 3), [0, 1])


def test_a_host_needs_no_images_but_those_of_its_part():
    """Images, partners, labels and targets of a process are those of the whole batch."""
    split = add_votes(make_split(23, 0))
    config = tiny_config(batch_size=8, mixup=0.2, data_parts=4, targets="distribution")
    whole = list(training_batches(split, config, 3, epochs=2))
    for process in range(2):
        held = list_part(split.labels, process, 2)
        blank = np.zeros_like(split.images)
        blank[held] = split.images[held]
        own = dataclasses.replace(split, images=blank)
        rows = slice(4 * process, 4 * process + 4)
        part = Part(8, rows.start, rows.stop)
        read = list(training_batches(own, config, 3, epochs=2, part=part))
        for one, every in zip(read, whole, strict=True):
            jax.tree.map(
                lambda a, b, rows=rows: np.testing.assert_array_equal(a, b[rows]), one, every
            )
            assert isinstance(one, MixedBatch)
            assert set(one.partner.index.tolist()) <= {*held.tolist(), -1}
