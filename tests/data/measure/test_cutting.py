"""Parts of images, inside and beyond the edge, against NumPy's clipped indices."""

import numpy as np
import pytest

from faceemo.data.measure.cutting import cut_out

BOXES = [
    *((0, 0, 7, 5), (2, 1, 4, 3), (-3, -2, 4, 2), (5, 3, 12, 9), (-4, -4, 20, 20)),
    *((-9, 0, -4, 3), (30, 2, 33, 4), (1, -8, 3, -7), (6, 5, 7, 6), (-1, 0, 0, 1)),
]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("channels", [(), (3,)])
def test_pixels_beyond_the_edge_repeat_the_nearest(box, channels):
    image = np.random.default_rng(0).integers(0, 255, (5, 7, *channels), np.uint8)
    left, top, right, bottom = box
    rows = np.clip(np.arange(top, bottom), 0, 4)
    columns = np.clip(np.arange(left, right), 0, 6)
    np.testing.assert_array_equal(cut_out(image, *box), image[np.ix_(rows, columns)])
