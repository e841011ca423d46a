"""Layouts of public sets, and trees that must be refused rather than guessed."""

import pytest

from faceemo.config import CLASSES
from faceemo.data.source import class_selection, layout
from faceemo.errors import UserError

FER = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def files(*patterns, classes=CLASSES, each=2):
    """Makes paths from patterns ('{c}': class, '{n}': unique number), each with a unique value."""
    numbers = iter(range(10**6))
    return {
        pattern.format(c=label, n=next(numbers)): f"{pattern} {label} {i}"
        for pattern in patterns
        for label in classes
        for i in range(each)
    }


def count_by_split(found):
    return {split: sum(image.split == split for image in found.destinations.values())
            for split in {image.split for image in found.destinations.values()}}  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("train/{c}/{n}.jpg", "validation/{c}/{n}.jpg", "test/{c}/{n}.jpg"),
         {"train": 8, "validation": 8, "test": 8}),
        (("images/train/{c}/{n}.jpg", "images/validation/{c}/{n}.jpg"),
         {"train": 8, "validation": 8}),
        (("a/b/Train/{c}/{n}.jpg", "a/b/VAL/{c}/{n}.jpg"), {"train": 8, "validation": 8}),
        (("train/train/{c}/{n}.jpg", "test/test/{c}/{n}.jpg"), {"train": 8, "test": 8}),
        (("train/{c}/Training_{n}.jpg", "test/{c}/PublicTest_{n}.jpg",
          "test/{c}/PrivateTest_{n}.jpg"), {"train": 8, "validation": 8, "test": 8}),
        (("train/{c}/Training_{n}.jpg", "test/{c}/PrivateTest_{n}.jpg"), {"train": 8, "test": 8}),
        (("{c}/{n}.jpg",), {"train": 8}),
        (("faces/all/{c}/{n}.jpg",), {"train": 8}),
        (("train/{c}/{n}.jpg", "train/{c}/a/{n}.jpg", "val/{c}/b/c/{n}.jpg"),
         {"train": 16, "validation": 8}),
        (("test/train/{c}/a/{n}.jpg", "test/val/{c}/Test/x/{n}.jpg"),
         {"train": 8, "validation": 8}),
    ],
)  # fmt: skip
def test_known_layouts_are_detected(patterns, expected):
    given = files(*patterns)
    found = layout.detect("x.zip", given)
    assert count_by_split(found) == expected
    for path, image in found.destinations.items():
        assert path.replace("/", "-").endswith(f"{image.label}-{image.name}")
    assert set(found.destinations) == set(given)


def test_a_set_that_holds_itself_twice_is_read_once():
    once = files("images/train/{c}/{n}.jpg", "images/validation/{c}/{n}.jpg")
    twice = once | {f"images/{path}": mark for path, mark in once.items()}
    found = layout.detect("x.zip", twice)
    assert set(found.destinations) == set(once)
    assert "'images/images/' is a copy and is ignored" in found.notes
    path = next(iter(once))
    with pytest.raises(UserError, match="several sets side by side: 'images/', 'images/images/'"):
        layout.detect("x.zip", twice | {f"images/{path}": "another"})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("train/7.jpg",), "1 images elsewhere: 'train/7.jpg'"),
        (("trial/happy/7.png",), "elsewhere: 'trial/happy/7.png'"),
        (("validation/happy/7.jpg", "val/happy/8.jpg"), "more than one folder for validation"),
        (("second/train/happy/7.jpg",), "several sets side by side: '/', 'second/'"),
    ],
)
def test_an_ambiguous_tree_is_refused_and_shown(more, message):
    given = files("train/{c}/{n}.jpg") | dict.fromkeys(more, "")
    with pytest.raises(UserError) as refusal:
        layout.detect("x.zip", given)
    message_shown = str(refusal.value)
    assert message in message_shown
    assert "<split>/<class>/<image>" in message_shown
    assert "the top of the tree: " in message_shown
    assert "happy/" in message_shown
    assert "\n" not in message_shown


def test_a_large_tree_is_shown_by_its_first_folders():
    given = {f"a/{n}/b/c/d/x.txt": "" for n in range(50)} | {f"{n}/x.txt": "" for n in range(50)}
    with pytest.raises(UserError, match="found no image; the top of the tree:") as refusal:
        layout.detect("x.zip", given | {"readme.md": ""})
    assert len(str(refusal.value)) < 1000
    assert "0/ 1 file (x.txt), 1/ 1 file (x.txt)" in str(refusal.value)
    assert "... 40 more" in str(refusal.value)


def test_folders_of_persons_inside_the_classes_are_part_of_the_names():
    given = files("train/{c}/Anna B/{n}.jpg", "train/{c}/{n}.jpg")
    found = layout.detect("x.zip", given)
    names = {image.name for image in found.destinations.values()}
    assert len(names) == len(given)
    assert {name.partition("-")[0] for name in names if "-" in name} == {"Anna B"}
    assert "folders inside the classes are part of the images' names" in found.notes
    without_splits = {path.removeprefix("train/"): mark for path, mark in given.items()}
    for classes in (CLASSES, ("happy", "sad")):
        there = {p: m for p, m in without_splits.items() if p.partition("/")[0] in classes}
        found = layout.detect(
            "x.zip", {f"top/{path}": mark for path, mark in there.items()}, classes
        )
        assert {image.label for image in found.destinations.values()} == set(classes)
        assert len(found.destinations) == len(there)
    # some of the classes suffice, and names of class_map may be among them
    found = layout.detect("x.zip", without_splits, ("happy", "sad", "joy"))
    assert {image.label for image in found.destinations.values()} == set(CLASSES)
    with pytest.raises(UserError, match=r"several sets.*name the classes \(--classes"):
        layout.detect("x.zip", without_splits)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("fro\u0308hlich", "fröhlich"),
        ("fröhlich ", "FRÖHLICH"),
        ("\u0913\u093c", "\u0913\u093c"),
        ("l'ennui", "l'ennui"),
        ("fr\udcf6hlich", r"fr\xf6hlich"),  # a name in Latin-1, escaped as messages show it
    ],
)
def test_names_of_classes_match_in_any_unicode_form(folder, name):
    given = files("train/{c}/{n}.jpg", "test/{c}/{n}.jpg", classes=(folder, "sad"))
    chosen = choose(given, ("calm", "sad"), **{name: "calm"})
    assert {image.label for image in chosen.destinations.values()} == {"calm", "sad"}
    assert len(chosen.destinations) == 8


def test_images_beside_the_folders_of_the_classes_are_refused():
    for pattern in ("{c}/{n}.jpg", "{c}/Anna/{n}.jpg"):
        with pytest.raises(UserError, match=r"1 images elsewhere: '7\.jpg'|several sets"):
            layout.detect("x.zip", files(pattern) | {"7.jpg": ""}, CLASSES)


def test_folders_of_the_same_class_in_two_forms_are_joined():
    given = {"train/fröhlich/7.jpg": "", "train/fro\u0308hlich/7.jpg": "x", "train/sad/1.jpg": ""}
    chosen = choose(given, ("fröhlich", "sad"))
    assert len({image.path for image in chosen.destinations.values()}) == 3


def test_a_name_too_long_for_a_file_system_is_shortened_and_stays_unique():
    ends = ("a", "b")
    given = {f"train/happy/{'é' * 150}{end}.jpg": end for end in ends} | {"train/sad/7.jpg": ""}
    names = [image.name for image in layout.detect("x.zip", given).destinations.values()]
    assert len(set(names)) == 3
    assert all(len(name.encode()) < 256 and name.endswith(".jpg") for name in names)
    just = {f"train/happy/{'x' * 251}.jpg": "", "train/sad/7.jpg": ""}
    assert f"{'x' * 251}.jpg" in {i.name for i in layout.detect("x", just).destinations.values()}


def test_other_files_beside_the_images_are_counted_and_ignored():
    given = files("train/{c}/{n}.jpg") | {"README.md": "", "train/labels.csv": ""}
    found = layout.detect("x.zip", given)
    assert not {"README.md", "train/labels.csv"} & set(found.destinations)
    assert "2 other files are ignored" in found.notes


def choose(given, classes=CLASSES, **class_map):
    return class_selection.select_classes(
        "x.zip", layout.detect("x.zip", given), classes, class_map
    )


def test_other_classes_are_left_out_and_counted():
    chosen = choose(files("train/{c}/{n}.jpg", "test/{c}/{n}.jpg", classes=FER))
    assert chosen.left_out == {"angry": 4, "disgust": 4, "fear": 4}
    assert {image.label for image in chosen.destinations.values()} == set(CLASSES)
    assert not chosen.renamed
    seven = choose(files("train/{c}/{n}.jpg", classes=FER), FER)
    assert not seven.left_out
    assert len(seven.destinations) == 14


def test_names_of_one_class_that_is_left_out_are_counted_together():
    given = files("train/{c}/{n}.jpg", classes=(*CLASSES, "angry", "Fear", "fearful"))
    given |= files("train/{c}/{n}.jpg", each=3, classes=("anger",))
    assert choose(given).left_out == {"Fear": 4, "anger": 5}


def test_case_and_usual_names_do_not_matter_but_other_words_need_a_class_map():
    upper = files("train/{c}/{n}.jpg", classes=("Happy", "NEUTRAL", "sad", "Surprise"))
    chosen = choose(upper)
    assert {image.label for image in chosen.destinations.values()} == set(CLASSES)
    assert chosen.renamed == {"Happy": "happy", "NEUTRAL": "neutral", "Surprise": "surprise"}
    synonym = files("train/{c}/{n}.jpg", classes=("glad", "neutral", "Sadness", "surprised"))
    with pytest.raises(UserError, match="no image in 'train/happy'; the classes there: Sadness"):
        choose(synonym)
    chosen = choose(synonym, glad="happy")
    assert chosen.renamed == {"glad": "happy", "Sadness": "sad", "surprised": "surprise"}
    assert not chosen.left_out
    with pytest.raises(UserError, match="no 'joy'; there are Sadness 2, glad 2"):
        choose(synonym, glad="happy", joy="happy")


def test_merged_classes_keep_all_their_images():
    given = {f"train/{c}/{n}.jpg": "" for c in FER for n in (1, 2)} | {"train/fear/3.jpg": ""}
    chosen = choose(given, ("happy", "negative"), angry="negative", fear="negative")
    names = sorted(
        image.name for image in chosen.destinations.values() if image.label == "negative"
    )
    assert names == ["3.jpg", "angry-1.jpg", "angry-2.jpg", "fear-1.jpg", "fear-2.jpg"]
    assert chosen.left_out == {"disgust": 2, "neutral": 2, "sad": 2, "surprise": 2}


def test_names_that_differ_in_case_only_are_refused():
    given = files("train/{c}/{n}.jpg") | {"train/happy/A.jpg": "", "train/happy/a.JPG": ""}
    with pytest.raises(UserError, match=r"2 repeated|1 repeated"):
        choose(given)
