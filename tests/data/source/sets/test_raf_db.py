"""RAF-DB: the aligned faces and their list, the numbered folders, and what nearly is one."""

import collections

import pytest

from faceemo.data.prepare import prepare
from faceemo.data.source import left_out, sources
from faceemo.data.source.layout import LeftOut
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.faces import face, jpeg

# As the authors number them, written out by hand.
LABELS = {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}
LIST = "basic/EmoLabel/list_patition_label.txt"


def make_set(per_class=2):
    """Makes the files of the set: two training images of each emotion and one for test."""
    files, lines = {}, []
    for split, count in (("train", per_class), ("test", 1)):
        for index in range(count * len(LABELS)):
            name, label = f"{split}_{index + 1:05}", index % len(LABELS) + 1
            files[f"basic/Image/aligned/{name}_aligned.jpg"] = jpeg(face(len(files)))
            lines.append(f"{name}.jpg {label}")
    return files | {LIST: "\n".join(lines).encode() + b"\n"}


def read(tmp_path, files, write=forms.write_folder):
    path = tmp_path / ("raf.zip" if write is forms.write_zip else "raf")
    write(path, files)
    return sources.find(tmp_path, path, from_within=False)


@pytest.mark.parametrize("write", [forms.write_folder, forms.write_zip])
def test_labels_and_splits_are_those_of_the_list_and_the_names(tmp_path, write):
    found = read(tmp_path, make_set(), write).layout()
    assert found.form == "RAF-DB, list_patition_label.txt"
    assert len(found.destinations) == 21
    for path, image in found.destinations.items():
        split, number, _ = path.rpartition("/")[2].split("_")
        assert image.split == split
        assert image.label == LABELS[(int(number) - 1) % 7 + 1]


def test_folders_with_the_numbers_of_the_emotions_are_read_as_well(tmp_path):
    """The popular copy, whose two tables repeat what the folders say."""
    files = {
        f"DATASET/{split}/{label}/{split}_{number:05}_aligned.jpg": jpeg(face(label))
        for split in ("train", "test")
        for label in LABELS
        for number in range(label, label + 1)
    } | {f"{split}_labels.csv": b"image,label\n" for split in ("train", "test")}
    source = read(tmp_path, files)
    found = source.layout()
    assert source.table() is None
    assert {(path.split("/")[2], image.label) for path, image in found.destinations.items()} == {
        (str(number), label) for number, label in LABELS.items()
    }


def test_the_preparation_lists_what_it_leaves_out_with_the_reason(tmp_path, detector, no_pictures):
    files = make_set(3)
    files["basic/Image/aligned/train_00099_aligned.jpg"] = jpeg(face(99))
    files["basic/Image/aligned/train_00098_aligned.jpg"] = jpeg(face(98))
    files["basic/Image/original/train_00001.jpg"] = jpeg(face(1, 90))
    files[LIST] += b"train_00098.jpg 0\ntest_00077.jpg 4\n"
    source = forms.write_folder(tmp_path / "raf", files)
    root = tmp_path / "data"
    prepare.prepare(root, last="unpack", selection=Selection(source=source, validation_share=0.3))
    left = left_out.read(root)
    assert left["basic/Image/aligned/train_00099_aligned.jpg"] == LeftOut(
        "", "no line in list_patition_label.txt"
    )
    assert left["basic/Image/aligned/train_00098_aligned.jpg"].reason.startswith("label 0, where 1")
    assert left["test_00077.jpg"].reason.endswith("there is no such file")
    # 4 each of fear, disgust and angry, which are no classes of the run
    assert collections.Counter(image.reason for image in left.values()).most_common(1) == [
        ("its label is no class of the run", 12)
    ]
    assert not any(path.endswith("original/train_00001.jpg") for path in left)


def test_another_label_makes_another_source(tmp_path):
    files = make_set()
    before = read(tmp_path / "a", files).sha256()
    assert read(tmp_path / "b", files).sha256() == before
    files[LIST] = files[LIST].replace(b"train_00001.jpg 1", b"train_00001.jpg 2")
    assert read(tmp_path / "c", files).sha256() != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({LIST: None}, r"list_patition_label\.txt .*found 21 aligned images and no list"),
        ({LIST: b"train_00001.jpg 9\n"}, "labels from 8 to 11"),
        ({LIST: b"train_00001.jpg;9\n"}, "'train_00001.jpg;9' in line 1"),
        ({LIST: b"train_\xff\xe9.jpg 4\n"}, "text in UTF-8"),
        ({"sub/list_partition_label.txt": b"x", LIST: None, "list_patition_label.txt": b""},
         "found 2"),
        ({LIST: b"train_00099.jpg 4\n"}, "1 image: in list_patition_label.txt, but there is no"),
    ],
)  # fmt: skip
def test_what_nearly_is_the_set_is_one_clear_error(tmp_path, change, message):
    files = {path: content for path, content in (make_set() | change).items() if content}
    if change.get("list_patition_label.txt") == b"":
        files["list_patition_label.txt"] = b""
    with pytest.raises(UserError, match=message):
        read(tmp_path, files).layout()


def test_images_without_their_list_say_so(tmp_path):
    files = {path: content for path, content in make_set().items() if path != LIST}
    with pytest.raises(UserError, match="no list"):
        read(tmp_path, files).layout()


def test_folders_of_classes_stay_folders_of_classes(tmp_path):
    files = {
        f"{label}/train_{number:05}_aligned.jpg": jpeg(face(number))
        for label in ("happy", "sad")
        for number in range(3)
    }
    assert read(tmp_path, files).layout().form == "<class>/<image>, no splits"
