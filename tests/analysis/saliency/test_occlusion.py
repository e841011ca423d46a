"""Occlusion maps against covering each place by hand, and against a model with a known region."""

import numpy as np
import pytest

from faceemo.analysis.saliency.occlusion import compute_occlusion_map


def make_region_model(rows, columns):
    """Makes a model whose first class has the brightness of a region, times 1 / 255."""

    def probabilities(images):
        share = images[:, rows, columns].mean(axis=(1, 2)) / 255
        return np.stack([share, 1 - share], axis=1).astype(np.float32)

    return probabilities


def test_only_the_region_that_the_model_uses_matters():
    image = np.full((24, 24), 20, np.uint8)
    image[4:10, 12:20] = 220
    found = compute_occlusion_map(
        make_region_model(slice(4, 10), slice(12, 20)), image, 0, patch=4, stride=1
    )
    touched = np.zeros((24, 24), bool)
    touched[4 - 3 : 10 + 3, 12 - 3 : 20 + 3] = True
    assert (found[~touched] == 0).all()
    assert found[5:9, 14:18].min() > 2 * found[touched & (image < 100)].mean() > 0
    # the probability of the other class rises
    other = compute_occlusion_map(
        make_region_model(slice(4, 10), slice(12, 20)), image, 1, patch=4, stride=1
    )
    np.testing.assert_allclose(other, -found, atol=1e-6)


@pytest.mark.parametrize(
    ("side", "patch", "stride"), [(11, 4, 3), (12, 4, 4), (9, 9, 1), (10, 3, 1), (7, 1, 1)]
)
def test_each_pixel_is_the_mean_of_the_patches_over_it(side, patch, stride):
    rng = np.random.default_rng(side)
    image = rng.integers(0, 256, (side, side), np.uint8)
    weights = rng.normal(size=(side, side, 3))

    def probabilities(images):
        logits = np.einsum("nij,ijc->nc", images / 255, weights)
        return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    before = image.copy()
    starts = list(range(0, side - patch + 1, stride))
    if starts[-1] != side - patch:
        starts.append(side - patch)
    values = [[[] for _ in range(side)] for _ in range(side)]
    for top in starts:
        for left in starts:
            one = image.copy()
            one[top : top + patch, left : left + patch] = round(image.mean())
            change = probabilities(image[None])[0, 2] - probabilities(one[None])[0, 2]
            for row in range(top, top + patch):
                for column in range(left, left + patch):
                    values[row][column].append(change)
    expected = [[np.mean(values[row][column]) for column in range(side)] for row in range(side)]
    np.testing.assert_allclose(
        compute_occlusion_map(probabilities, image, 2, patch=patch, stride=stride),
        expected,
        atol=1e-6,
    )
    np.testing.assert_array_equal(image, before)


def test_the_patch_over_an_image_in_colour_has_its_mean_colour():
    """A patch of the mean grey would change the shares of the channels, which this model reads."""
    image = np.zeros((12, 12, 3), np.uint8)
    image[...] = (200, 100, 20)
    image[2:6, 2:6] = (40, 100, 220)

    def probabilities(images):
        red = images[..., 0].sum((1, 2)) / images.sum((1, 2, 3))
        return np.stack([red, 1 - red], axis=1).astype(np.float32)

    found = compute_occlusion_map(probabilities, image, 0, patch=2, stride=2)
    assert found.shape == (12, 12)
    mean = np.rint(image.mean((0, 1)))
    covered = image.copy()
    covered[8:10, 8:10] = mean
    expected = probabilities(image[None])[0, 0] - probabilities(covered[None])[0, 0]
    np.testing.assert_allclose(found[8:10, 8:10], expected, atol=1e-6)
    assert found[3, 3] < 0 < found[9, 9], "blue was covered, or orange"
