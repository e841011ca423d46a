"""ExpW: photographs with several faces each, cut out by the boxes of the list."""

import collections
import io
import json

import numpy as np
import pytest
from PIL import Image

from faceemo.data.prepare import prepare
from faceemo.data.source import archive, left_out, source_paths, sources
from faceemo.data.source.plan import Plan
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.faces import face, jpeg

# As the authors number them, written out by hand.
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
LIST = "label/label.lst"


def photograph(seed, **options):
    """Draws two faces, at (10, 5) and (70, 20), on black."""
    photo = np.zeros((90, 140), np.uint8)
    photo[5:53, 10:58], photo[20:68, 70:118] = face(2 * seed), face(2 * seed + 1)
    return jpeg(photo, "RGB", quality=95, **options)


def make_set(count=7):
    files, lines = {}, []
    for number in range(count):
        name = f"a photo_{number}.jpg"
        files[f"image/{name}"] = photograph(number)
        lines.append(f"{name} 0 5 10 58 53 40.5 {number % 7}")
        lines.append(f"{name} 1 20 70 118 68 9.1 {(number + 3) % 7}")
    return files | {LIST: "\n".join(lines).encode()}


def read(tmp_path, files):
    return sources.find(tmp_path, forms.write_folder(tmp_path / "expw", files), from_within=False)


def test_every_face_is_an_image_with_its_own_label(tmp_path):
    source = read(tmp_path, make_set())
    found = source.layout()
    assert found.notes == ("14 faces are cut out of 7 photographs, 7 of which have several",)
    contents = dict(source.read_files(found.destinations))
    for number in range(7):
        for which, label in enumerate((LABELS[number], LABELS[(number + 3) % 7])):
            path = f"image/a photo_{number}.jpg#{which}"
            assert found.destinations[path] == ("train", label, f"a photo_{number}-{which}.png")
            with Image.open(io.BytesIO(contents[path])) as cut:
                assert (cut.size, cut.mode) == ((48, 48), "RGB")
                drawn = face(2 * number + which).astype(int)
                assert np.abs(np.asarray(cut.convert("L")) - drawn).mean() < 6
    assert sum(map(len, contents.values())) <= source.total_bytes(found.destinations)


def test_a_box_over_the_edge_is_clipped_and_one_outside_is_listed(tmp_path, detector, no_pictures):
    files = make_set()
    files[LIST] += b"\na photo_0.jpg 2 -5 60 999 999 1 4\na photo_0.jpg 3 500 500 600 600 1 4"
    files[LIST] += b"\na photo_1.jpg 2 9 60 60 9 1 4\nlost.jpg 0 1 1 9 9 1 4"
    files["image/a photo_6.jpg"] = b"no image"
    files["image/unlisted.jpg"] = photograph(9)
    source = forms.write_folder(tmp_path / "expw", files)
    root = tmp_path / "data"
    selection = Selection(source=source, classes=("sad", "happy"), validation_share=0.3)
    prepare.prepare(root, selection=selection, last="unpack")
    left = left_out.read(root)
    assert left["image/a photo_0.jpg#3"] == ("sad", "its box lies outside the photograph")
    assert left["image/a photo_1.jpg#2"] == ("sad", "a box without width or height")
    assert left["lost.jpg#0"] == ("sad", "in label.lst, but there is no such file")
    assert left["image/unlisted.jpg"] == ("", "no line in label.lst")
    places = {path: place for place, path in source_paths.read(root).paths.items()}
    folder = root / archive.FOLDER
    with Image.open(folder / places["image/a photo_0.jpg#2"]) as clipped:
        assert clipped.size == (80, 90)
    assert not (folder / places["image/a photo_0.jpg#3"]).exists()
    prepare.prepare(root, selection=selection, last="unpack")
    assert json.loads((root / "preparation.json").read_text())["unpack"]
    assert left_out.read(root) == left


def test_a_damaged_photograph_is_for_the_ledger_to_name(tmp_path):
    files = make_set() | {"image/a photo_6.jpg": b"no image"}
    source = read(tmp_path, files)
    contents = dict(source.read_files(source.layout().destinations))
    assert contents["image/a photo_6.jpg#0"] == b"no image"


def test_a_box_is_cut_before_the_photograph_is_turned(tmp_path):
    """Boxes are those of the stored pixels, and the crop is upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    source = read(tmp_path, make_set() | {"image/a photo_0.jpg": photograph(0, exif=exif)})
    contents = dict(source.read_files(["image/a photo_0.jpg#1"]))
    cut = Image.open(io.BytesIO(contents["image/a photo_0.jpg#1"])).convert("L")
    drawn = np.rot90(face(1), -1).astype(int)
    assert np.abs(np.asarray(cut) - drawn).mean() < 6


def test_the_faces_of_a_photograph_stay_in_one_split(tmp_path):
    files = make_set(30)
    files[LIST] = "\n".join(
        f"a photo_{n}.jpg {which} 5 {10 + 60 * which} {58 + 60 * which} 53 1 {3 + (n + which) % 2}"
        for n in range(30)
        for which in range(2)
    ).encode()
    source = read(tmp_path, files)
    selection = Selection(classes=("happy", "sad"), validation_share=0.2, test_share=0.2)
    made = Plan(source, selection)
    splits = collections.defaultdict(set)
    for path, target in made.targets.items():
        splits[path.partition("#")[0]].add(target.partition("/")[0])
    assert all(len(found) == 1 for found in splits.values())
    counts = collections.Counter(next(iter(found)) for found in splits.values())
    assert 4 <= counts["validation"] <= 8
    assert 4 <= counts["test"] <= 8
    assert any("person or photograph" in note for note in made.facts()["notes"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({LIST: b"a.jpg 0 1 1 9 9 4\n"}, "'a.jpg 0 1 1 9 9 4' in line 1"),
        ({LIST: b"a.jpg 0 1 1 9 9 1.0 4\n"}, "1 image: in label.lst, but there is no such file"),
        ({LIST: make_set()[LIST] + b"\n" + make_set()[LIST]}, "in line 15"),
        ({"other/label.lst": b"x"}, "found 2"),
    ],
)
def test_what_nearly_is_the_set_is_one_clear_error(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, make_set() | change).layout()
