"""Moved images, compared with SciPy, and what is measured of their predictions."""

import numpy as np
import pytest
from scipy import ndimage

from faceemo.analysis import shift_stability


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, -1), (-3, 3), (0, 2), (-40, 40)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_images_move_as_by_scipy(down, right, channels):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 9, *channels), np.uint8)
    offset = (0, down, right, *(0 for _ in channels))
    expected = ndimage.shift(images, offset, order=0, mode="nearest")
    moved = shift_stability.shift_images(images, down, right)
    assert moved.dtype == np.uint8
    np.testing.assert_array_equal(moved, expected)


def test_a_network_that_sees_the_mean_alone_changes_only_by_what_leaves_the_image():
    images = np.full((4, 8, 8), 100, np.uint8)

    def by_mean(images):
        share = images.mean(axis=(1, 2)) / 255
        return np.stack([share, 1 - share], axis=1)

    found = shift_stability.measure(by_mean, images, 2)
    assert found["change_max"] == 0
    assert found["other_class"] == 0


def test_the_largest_change_of_the_predicted_class_is_found_in_any_direction():
    images = np.zeros((4, 8, 8), np.uint8)
    images[0, 1, 1] = 255

    def by_spot(images):
        share = 0.1 + 0.6 * images.max(axis=(1, 2)) / 255
        return np.stack([share, 1 - share], axis=1)

    found = shift_stability.measure(by_spot, images, 2)
    # moves up or to the left lose it, and 0.7 becomes 0.1
    assert found["change_max"] == pytest.approx(0.6)
    assert found["change_mean"] == pytest.approx(0.15)
    assert found["other_class"] == 0.25
    assert (found["images"], found["pixels"]) == (4, 2)
