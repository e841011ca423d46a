"""AffectNet: arrays of annotations beside images, and lists with boxes."""

import io

import numpy as np
import pytest
from PIL import Image

from faceemo.data.source import sources
from faceemo.data.source.layout import LeftOut
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.faces import face, jpeg

# As the authors number them, written out by hand.
LABELS = dict(
    enumerate(("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"))
)
HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression"
HEADER += ",valence,arousal"


def array(value):
    stream = io.BytesIO()
    np.save(stream, np.array(value))
    return stream.getvalue()


def make_folders():
    """Makes two training images and a validation image of each emotion."""
    files = {}
    for number in range(24):
        folder = "train_set" if number < 16 else "val_set"
        files[f"{folder}/images/{number}.jpg"] = jpeg(face(number))
        # the set stores text; other editions store numbers
        value = number % 8 if number % 2 else str(number % 8)
        files[f"{folder}/annotations/{number}_exp.npy"] = array(value)
        files[f"{folder}/annotations/{number}_val.npy"] = array("0.5")
    return files


def row(path, label, box="10,20,48,40"):
    return f"{path},{box},1;2;3,{label},0.1,0.2"


def make_lists():
    """Makes a list with a header, and one without, in which images have the expressions 0 to 10."""
    photo = np.zeros((100, 90), np.uint8)
    photo[20:60, 10:58] = 200
    files = {f"Manually_Annotated_Images/{n % 3}/{n:02}.JPG": jpeg(photo) for n in range(22)}
    names = [path.partition("/")[2] for path in files]
    train = [HEADER, *(row(name, label) for label, name in enumerate(names[:11]))]
    validation = [row(name, label) for label, name in enumerate(names[11:])]
    return files | {
        "training.csv": "\n".join(train).encode(),
        "validation.csv": "\n".join(validation).encode(),
    }


def read(tmp_path, files):
    path = forms.write_zip(tmp_path / "affectnet.zip", files)
    return sources.find(tmp_path, path, from_within=False)


def test_arrays_give_the_labels_and_folders_the_splits(tmp_path):
    found = read(tmp_path, make_folders()).layout()
    assert len(found.destinations) == 24
    for path, image in found.destinations.items():
        number = int(path.rpartition("/")[2].removesuffix(".jpg"))
        assert image.label == LABELS[number % 8]
        assert image.split == ("train" if number < 16 else "validation")


def test_lists_give_labels_splits_and_boxes(tmp_path):
    source = read(tmp_path, make_lists())
    found = source.layout()
    assert {split: sum(i.split == split for i in found.destinations.values())
            for split in ("train", "validation")} == {"train": 8, "validation": 8}  # fmt: skip
    for path, image in found.destinations.items():
        assert image.label == LABELS[int(image.name.removesuffix(".png")) % 11], path
    reasons = sorted({left.reason for left in found.left_out.values()})
    assert reasons == [f"the set labels it '{name}'" for name in ("non-face", "none", "uncertain")]
    for _, content in source.read_files(found.destinations):
        cut = Image.open(io.BytesIO(content))
        assert cut.size == (48, 40)
        assert np.asarray(cut).min() > 150  # of the bright box alone


def test_a_row_without_a_box_is_a_whole_image(tmp_path):
    files = make_lists()
    files["training.csv"] = files["training.csv"].replace(b"10,20,48,40", b"NULL,NULL,NULL,NULL")
    found = read(tmp_path, files).layout()
    assert len(found.crops) == 8
    assert {found.destinations[path].split for path in found.crops} == {"validation"}


def test_images_and_annotations_without_each_other_are_listed(tmp_path):
    files = make_folders()
    del files["train_set/annotations/0_exp.npy"], files["train_set/images/1.jpg"]
    files["train_set/annotations/2_exp.npy"] = b"no array"
    files["train_set/annotations/3_exp.npy"] = array(11)
    assert read(tmp_path, files).layout().left_out == {
        "train_set/images/0.jpg": LeftOut("", "no annotation"),
        "train_set/images/1.jpg": LeftOut("", "annotated, but there is no such file"),
        "train_set/images/2.jpg": LeftOut("", "its annotation is no number"),
        "train_set/images/3.jpg": LeftOut("11", "label 11, where 0 to 10 are known"),
    }


def test_an_array_that_holds_a_program_is_not_run(tmp_path):
    files = make_folders()
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], object), allow_pickle=True)
    files["train_set/annotations/2_exp.npy"] = stream.getvalue()
    found = read(tmp_path, files).layout()
    assert found.left_out["train_set/images/2.jpg"].reason == "its annotation is no number"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (lambda: {p: c for p, c in make_folders().items() if "images" in p}, "no annotations"),
        (lambda: {p: c for p, c in make_folders().items() if "images" not in p},
         "24 images: annotated, but there is no such file"),
        (lambda: {p: c for p, c in make_lists().items() if p.endswith("csv")},
         "11 images: in training.csv, but there is no such file"),
        (lambda: make_lists() | {"training.csv": f"{HEADER}\na,1\n".encode()}, "2 in row 1"),
        (lambda: make_lists() | {"training.csv": HEADER.replace("exp", "x").encode()},
         "the column expression"),
        (lambda: make_lists() | {"copy.csv": make_lists()["training.csv"]}, r"0/00\.JPG again in"),
    ],
)  # fmt: skip
def test_what_nearly_is_the_set_is_one_clear_error(tmp_path, files, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, files()).layout()
