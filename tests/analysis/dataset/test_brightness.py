"""Brightness, contrast and mean faces against Pillow."""

import collections

import numpy as np

from faceemo.analysis.dataset.brightness import measure
from faceemo.config import CLASSES
from faceemo.data.source import archive
from tests.support.analysis.exploration_page import open_image


def test_brightness_and_contrast_agree_with_pillow(unpacked):
    folder = unpacked / archive.FOLDER
    paths = tuple(archive.hash_images(folder))
    measured = measure(folder, paths)
    images = collections.defaultdict(list)
    for path, brightness, contrast in zip(
        paths, measured.brightness, measured.contrast, strict=True
    ):
        try:
            grey = np.asarray(open_image(folder / path).convert("L"), np.float64)
        except OSError:
            assert np.isnan(brightness)
            continue
        # two decoders may differ by one level
        assert abs(grey.mean() - brightness) < 0.5
        assert abs(grey.std() - contrast) < 0.5
        images[path.split("/")[1]].append(grey)
    for label in CLASSES:
        assert np.abs(np.mean(images[label], axis=0) - measured.mean_faces[label]).max() < 1
