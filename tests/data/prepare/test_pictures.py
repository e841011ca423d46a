"""The pictures of a preparation: drawn, not blank, and the same for the same seed."""

import numpy as np
from PIL import Image

from faceemo.data.prepare import pictures, prepare
from faceemo.data.source import archive
from tests.support.data.planted import LOOKS, write_zip


def test_pictures(tmp_path, detector):
    """Drawn, large enough, and not blank; drawn again if deleted."""
    root = write_zip(tmp_path / "root")
    prepare.prepare(root)
    folder = root / prepare.PICTURES
    drawn = {"faces.png", "kept_and_left_out.png", "conflicting_labels.png", "leaks.png"}
    assert {path.name for path in folder.iterdir()} == drawn
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert image.width > 900
            assert len(np.unique(np.asarray(image.convert("L")))) > 50
    (folder / "faces.png").unlink()
    prepare.prepare(root)
    assert {path.name for path in folder.iterdir()} == drawn
    assert detector.seen == LOOKS


def test_samples_are_the_same_for_the_same_seed(done, tmp_path):
    images = archive.hashes(done / archive.FOLDER)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        pictures.samples(done / archive.FOLDER, images, seed, tmp_path / f"{name}.png")
    a, b, c = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
