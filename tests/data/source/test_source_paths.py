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
    expected = tuple(found.paths.values())
    assert source_paths.name_in_source(root, found.paths) == (expected, str(mine))


def test_originals_are_named_by_their_source_whatever_the_bytes_of_their_names(tmp_path):
    paths = ["train/sad/caf\udce9.png", "train/sad/2.png"]
    assert source_paths.name_in_source(tmp_path, paths) == (
        tuple(paths),
        str(tmp_path / archive.FOLDER),
    )
    source_paths.write(tmp_path, tmp_path / "mine", {paths[0]: "mine/caf\udce9.png"})
    for path in (paths[0], "train/sad/caf\\xe9.png"):
        names, source = source_paths.name_in_source(tmp_path, [path, paths[1]])
        assert (names, source) == (("mine/caf\udce9.png", paths[1]), "mine")
