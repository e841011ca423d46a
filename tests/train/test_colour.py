"""A network that sees colour learns what only colour shows, through every step of training."""

import dataclasses

import numpy as np
import pytest

from faceemo.data.measure.colour import to_grey_levels
from faceemo.data.pipeline import Split
from tests.train.test_loop import fit

pytestmark = pytest.mark.slow

# Differences from grey that leave Pillow's grey level as it is: 299 R + 587 G + 114 B = 0.
TINTS = 0.9 * np.array([(58.7, -29.9, 0), (-58.7, 29.9, 0), (30, 0, -78.7), (-30, 0, 78.7)])


def make_tinted(n, seed):
    """Noise images whose class is their tint alone."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n).astype(np.int32)
    images = rng.integers(90, 160, (n, 16, 16, 1)) + TINTS[labels][:, None, None]
    return Split(images.round().astype(np.uint8), labels, tuple(f"{i}.jpg" for i in range(n)))


@pytest.mark.parametrize("changes", [{"augmentation": "mid"}, {"erasing": 0.5, "mixup": 0.2}])
def test_classes_that_only_colour_tells_apart_are_learned_in_colour_alone(tmp_path, changes):
    splits = {"train": make_tinted(96, 0), "validation": make_tinted(60, 1)}
    grey = {
        name: dataclasses.replace(split, images=to_grey_levels(split.images))
        for name, split in splits.items()
    }
    options = {"epochs": 8, "patience": 0} | changes
    coloured, _ = fit(tmp_path / "rgb", splits=splits, **options)
    colourless, _ = fit(tmp_path / "grey", splits=grey, **options)
    assert coloured[-1]["validation/accuracy"] > 0.9
    assert max(row["validation/accuracy"] for row in colourless) < 0.5
