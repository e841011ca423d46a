"""Drawn photographs, for what searches whole pictures for faces."""

import numpy as np

from tests.support.data.faces import face


def draw(apart=200):
    """Draws photographs by name, uint8.

    'pair' is in colour and has two faces; 'large' has small faces, `apart` pixels from one to the
    next, and one for which no tile is needed; 'crop' is a face of 48 pixels; 'wall' shows none.
    """
    pair = np.full((300, 600, 3), (90, 128, 160), np.uint8)
    for left, top, seed, side in ((40, 60, 0, 160), (380, 80, 1, 150)):
        pair[top : top + side, left : left + side] = face(seed, side)[..., None]
    large = np.full((1000, 1500), 128, np.uint8)
    for number, left in enumerate(range(100, 1300, apart)):
        large[500:548, left : left + 48] = face(number)
    large[100:400, 200:500] = face(7, 300)
    return {
        "pair": pair,
        "crop": face(2),
        "wall": np.full((90, 120), 50, np.uint8),
        "large": large,
    }
