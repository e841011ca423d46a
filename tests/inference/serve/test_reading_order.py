"""The order in which the faces of a picture are numbered."""

import numpy as np
import pytest

from faceemo.inference.faces import Face
from faceemo.inference.serve.reading_order import sort_for_reading


def face(left, top, side=100):
    return Face(np.zeros((1, 1), np.uint8), (left, top, left + side, top + side))


@pytest.mark.parametrize(
    "rows",
    [
        [[]],
        [[(0, 0)]],
        [[(0, 40), (120, 0), (240, 45)]],  # people of different height
        [[(0, 0), (300, 20)], [(100, 130), (400, 120)]],
        [[(0, 0)], [(10, 60)], [(0, 120)]],  # heads above one another
        [[(0, 0), (150, 10, 60)], [(0, 110), (200, 100, 130)]],  # of different size
        [[(column * 120, 35 * (column % 2)) for column in range(9)]],
    ],
)
def test_rows_come_from_top_to_bottom_and_each_from_left_to_right(rows):
    expected = [face(*one) for row in rows for one in row]
    rng = np.random.default_rng(len(expected))
    for _ in range(5):
        shuffled = [expected[index] for index in rng.permutation(len(expected))]
        assert sort_for_reading(shuffled) == expected
