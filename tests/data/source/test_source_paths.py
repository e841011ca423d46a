"""The record of where in the user's source each original comes from."""

import numpy as np
from PIL import Image

from faceemo.data.prepare import prepare
from faceemo.data.source import archive, source_paths
from faceemo.data.source.selection import Selection


def test_the_paths_in_the_source_lead_to_the_same_bytes(tmp_path):
    """Classes without splits: some of the originals are in validation, which the source lacks."""
    mine, root, rng = tmp_path / "mine", tmp_path / "data", np.random.default_rng(0)
    for label in ("calm", "angry"):
        (mine / label).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (48, 48), np.uint8)
            Image.fromarray(pixels).save(mine / label / f"{number}.png")
    assert source_paths.read(root) is None
    selection = Selection(source=mine, classes=("calm", "angry"), validation_share=0.25)
    folder = prepare.prepare(root, selection=selection, last="unpack")
    found = source_paths.read(root)
    assert found is not None
    assert found.source == str(mine)
    assert found.paths.keys() == archive.hash_images(folder).keys()
    for path, original in found.paths.items():
        assert (folder / path).read_bytes() == (mine / original).read_bytes()
    assert {path.split("/")[0] for path in found.paths} == {"train", "validation"}
    prepare.prepare(root, selection=selection, last="unpack")  # finds nothing to do
    assert source_paths.read(root) == found
