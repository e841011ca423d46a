"""Every form of a source through the whole preparation: the same images meet the same fates."""

import argparse
import collections
import dataclasses
import json
import re
import typing
from pathlib import Path, PurePosixPath

import imagehash
import numpy as np
import pytest
from PIL import Image

from faceemo.config import CLASSES, SPLITS
from faceemo.data import archive, builder, dedupe, ledger, prepare, screen, sources, wanted
from faceemo.data.wanted import Wanted
from faceemo.errors import UserError
from tests.data import forms

FER = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


class Remembering(screen.Detector):
    """The real detector, which looks at equal pixels once in all tests."""

    known: typing.ClassVar = {}

    def look(self, images):
        keys = [(image.shape, image.tobytes()) for image in images]
        for key, image in zip(keys, images, strict=True):
            if key not in self.known:
                (self.known[key],) = super().look([image])
        return [self.known[key] for key in keys]


@pytest.fixture(scope="module", autouse=True)
def light():
    """Detector with a memory, no pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen, "Detector", Remembering)
        patch.setattr(prepare, "_PICTURES", {"screen": {}, "dedupe": {}})
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return forms.drawn(tmp_path_factory.mktemp("drawn"))


def row_number(path):
    return int(re.sub(r"\D", "", PurePosixPath(path).name))


def fates(root):
    """By the number in a file's name: split, class, fate."""
    return {row_number(row.path): (row.split, row.label, row.fate) for row in ledger.read(root)}


@pytest.fixture(scope="module")
def usual(images, tmp_path_factory):
    """What becomes of the images in the usual zip."""
    root = tmp_path_factory.mktemp("usual")
    forms.write_zip(root / archive.ZIP, forms.below(images, archive.FOLDER))
    prepare.prepare(root)
    return fates(root)


FORMS = {
    "zip of another name": lambda root, i: forms.write_zip(root / "faces.zip", i),
    "zip with a wrapper": lambda root, i: forms.write_zip(
        root / "archive.zip", forms.below(i, "a/b")
    ),
    "zip that holds itself twice": lambda root, i: forms.write_zip(
        root / "archive.zip", forms.twice(i)
    ),
    "usage in the names": lambda root, i: forms.write_zip(
        root / "archive.zip", forms.with_usage_in_names(i)
    ),
    "folders in data_dir": lambda root, i: forms.write_folder(root, i),
    "images folder in data_dir": lambda root, i: forms.write_folder(root / "images", i),
    "usage in the names, folders": lambda root, i: forms.write_folder(
        root / "fer2013", forms.with_usage_in_names(i)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_images_meet_the_same_fates(tmp_path, images, usual, form, capsys):
    FORMS[form](tmp_path, images)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    prepare.prepare(tmp_path)
    assert fates(tmp_path) == usual
    names = {PurePosixPath(row.path).name for row in ledger.read(tmp_path)}
    assert names <= {PurePosixPath(path).name for path in before} | set(images) | names
    assert {p: p.read_bytes() for p in before} == before  # the source is only read
    assert "<split>/<class>/<image>" in capsys.readouterr().out
    prepare.prepare(tmp_path)
    assert capsys.readouterr().out.count("nothing to do") == 3


@pytest.mark.parametrize(
    "header", [("emotion", "pixels", "Usage"), ("emotion", " Usage", " pixels")]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_csv_gives_the_pixels_and_fates_of_the_files(tmp_path, images, usual, header, zipped):
    good = forms.whole(images)
    text = forms.table(good, header).encode()
    if zipped:
        more = {"train.csv": b"emotion,pixels\n", "fer2013/README": b"words"}
        forms.write_zip(tmp_path / "fer.zip", more | {"fer2013/fer2013.csv": text})
    else:
        forms.write_folder(tmp_path, {"icml_face_data.csv": text})
    prepare.prepare(tmp_path)
    numbers = set(map(row_number, good))
    assert fates(tmp_path) == {row: usual[row] for row in numbers}
    for path, content in good.items():
        split, label, name = path.split("/")
        made = tmp_path / archive.FOLDER / split / label / f"{PurePosixPath(name).stem}.png"
        (tmp_path / "one.jpg").write_bytes(content)
        np.testing.assert_array_equal(Image.open(made), Image.open(tmp_path / "one.jpg"))
    record = json.loads((tmp_path / sources.RECORD).read_text())["unpack"]
    assert record["left_out"] == {"angry": max(numbers) + 1 - len(numbers)}


def test_a_csv_without_usage_and_with_bad_rows(tmp_path, images):
    good = forms.whole(forms.without(images, "validation", "test"))
    lines = forms.table(good, ("emotion", "pixels")).splitlines()
    bad = {"3,12 13 300 14": "too bright", "3,1 2 3": "not square", "3,": "empty", "3,a b": "text"}
    first = len(lines) - 1
    (tmp_path / "any.csv").write_text("\n".join([*lines, *bad]) + "\n")
    prepare.prepare(tmp_path, wanted=Wanted(validation_share=0.3))
    found = fates(tmp_path)
    assert {found[first + n][2] for n in range(len(bad))} == {ledger.UNREADABLE}
    assert collections.Counter(split for split, _, _ in found.values())["test"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("pixels\n1 2 3 4\n", "columns emotion, pixels"),
        (
            "emotion,pixels,Usage\n3,1 2 3 4,Holdout\n",
            "Usage 'Holdout' and emotion 'happy' in row 0",
        ),
        ("emotion,pixels,Usage\n3,1 2 3 4,Training\n,1 2 3 4,Training\n", "'' in row 1"),
        ("emotion,pixels,Usage\n3,1 2 3 4,Training\n3,1 2", "2 in row 1"),
        ("emotion,pixels,Usage\n3,1 2 3 4,Training\n", "no image in 'train/neutral'"),
        (b"emotion,pixels,Usage\n3,\xff\xfe,Training\n", "a csv of text"),
    ],
)
def test_a_csv_that_is_none_is_told(tmp_path, text, message):
    (tmp_path / "fer2013.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        prepare.prepare(tmp_path)
    assert not (tmp_path / archive.FOLDER).exists()


def groups_of(rows):
    """Images that must not be parted: equal bytes or dHash, here by all pairs."""
    for one in rows:
        for other in rows:
            if one.dhash and other.dhash and one.path < other.path:
                bits = imagehash.hex_to_hash(one.dhash) - imagehash.hex_to_hash(other.dhash)
                if bits <= 2:
                    yield one, other


@pytest.mark.parametrize("form", ["train and test", "train and validation", "classes only"])
def test_missing_splits_are_made_by_seed(tmp_path, images, form, capsys):
    kept = {
        "train and test": lambda: forms.without(images, "validation"),
        "train and validation": lambda: forms.without(images, "test"),
        "classes only": lambda: forms.without_splits(images),
    }[form]()
    forms.write_zip(tmp_path / "a" / "x.zip", kept)
    wanted = Wanted(validation_share=0.2)
    prepare.prepare(tmp_path / "a", wanted=wanted)
    words = capsys.readouterr().out
    rows = ledger.read(tmp_path / "a")
    count = collections.Counter(row.split for row in rows)
    if form == "train and validation":
        assert "is made from train" not in words
    else:
        assert "validation is made from train" in words
        for label in CLASSES:
            own = [row for row in rows if row.label == label and row.split != "test"]
            share = sum(row.split == "validation" for row in own) / len(own)
            assert 0.1 < share < 0.35
        assert all(
            one.split == other.split
            for one, other in groups_of([row for row in rows if row.split != "test"])
        )
        leaks = json.loads((tmp_path / "a" / sources.RECORD).read_text())["dedupe"]["leaks"]
        for kind in ("same dHash", "near", "mirrored", "any of these"):
            assert not sum(leaks["before"]["validation in train"][kind].values())
    assert ("there is no test split" in words) == (form != "train and test")
    assert (count["test"] == 0) == (form != "train and test")
    # the same images under the same seed, wherever they come from
    forms.write_folder(tmp_path / "b" / "faces", dict(reversed(kept.items())))
    prepare.prepare(tmp_path / "b", wanted=wanted)
    assert fates(tmp_path / "b") == fates(tmp_path / "a")
    other = dataclasses.replace(wanted, split_seed=1)
    prepare.prepare(tmp_path / "b", wanted=other)
    # nothing was made in the one with a validation split: the seed is of no concern
    assert (fates(tmp_path / "b") == fates(tmp_path / "a")) == (form == "train and validation")


def test_a_test_split_on_demand(tmp_path, images):
    forms.write_zip(tmp_path / "x.zip", forms.without_splits(images))
    prepare.prepare(tmp_path, wanted=Wanted(validation_share=0.2, test_share=0.2))
    count = collections.Counter(row.split for row in ledger.read(tmp_path))
    total = sum(count.values())
    assert abs(count["validation"] / total - 0.2) < 0.06
    assert abs(count["test"] / total - 0.2) < 0.06


def test_no_test_split_all_the_way_to_arrays(tmp_path, images):
    forms.write_zip(tmp_path / "x.zip", forms.below(forms.without(images, "test"), "images"))
    prepare.prepare(tmp_path)
    loaded = builder.load(tmp_path, 48)
    assert len(loaded["test"]) == 0
    assert loaded["test"].images.shape == (0, 48, 48)
    assert len(loaded["train"]) > 20


@pytest.mark.parametrize(
    ("classes", "class_map"),
    [
        (CLASSES, {}),
        (("sad", "happy", "surprise"), {}),
        (FER, {}),
        (("good", "bad"), {"happy": "good", "surprise": "good", "angry": "bad", "fear": "bad"}),
    ],
)
def test_classes_are_filtered_mapped_and_ordered(tmp_path, images, classes, class_map):
    given = forms.seven(images)
    forms.write_zip(tmp_path / "x.zip", given)
    wanted = Wanted(classes=classes, class_map=class_map)
    prepare.prepare(tmp_path, wanted=wanted)
    meaning = {name: name for name in classes} | class_map
    truth = {
        row_number(path): meaning[path.split("/")[1]]
        for path in given
        if path.split("/")[1] in meaning
    }
    assert {number: label for number, (_, label, _) in fates(tmp_path).items()} == truth
    left = collections.Counter(p.split("/")[1] for p in given if p.split("/")[1] not in meaning)
    assert json.loads((tmp_path / sources.RECORD).read_text())["unpack"]["left_out"] == left
    loaded = builder.load(tmp_path, 48, classes)  # also where cleaning has emptied a class
    for split in SPLITS:
        assert loaded[split].classes == tuple(classes)
        assert len(loaded[split].class_counts()) == len(classes)
        for label, path in zip(loaded[split].labels, loaded[split].paths, strict=True):
            assert classes[label] == path.split("/")[1] == truth[row_number(path)]


@pytest.mark.parametrize("gone", ["train/sad", "validation/"])
def test_what_cleaning_must_leave(tmp_path, images, gone):
    kept = {path: content for path, content in images.items() if not path.startswith(gone)}
    forms.write_folder(tmp_path / dedupe.FOLDER, kept)
    with pytest.raises(UserError, match=gone.rstrip("/")):
        builder.load(tmp_path, 48)


def test_other_classes_replace_what_was_made_and_come_back_the_same(tmp_path, images):
    forms.write_zip(tmp_path / "x.zip", forms.seven(images))
    prepare.prepare(tmp_path)
    first = {p: p.read_bytes() for p in (tmp_path / dedupe.FOLDER).rglob("*.jpg")}
    prepare.prepare(tmp_path, wanted=Wanted(classes=FER))
    assert ledger.classes(ledger.read(tmp_path)) == FER
    prepare.prepare(tmp_path)  # nobody asks for other classes: they stay
    assert ledger.classes(ledger.read(tmp_path)) == FER
    prepare.prepare(tmp_path, wanted=Wanted())
    assert {p: p.read_bytes() for p in (tmp_path / dedupe.FOLDER).rglob("*.jpg")} == first


def test_a_source_elsewhere_may_be_read_only_and_data_dir_be_new(tmp_path, images, usual, capsys):
    source = forms.write_zip(tmp_path / "in" / "x.zip", images)
    out = tmp_path / "deep" / "out"
    prepare.prepare(out, wanted=Wanted(source=source))
    assert fates(out) == usual
    assert [path.name for path in source.parent.iterdir()] == ["x.zip"]
    # a script that does not know of it goes on with what was made; other classes can still be had
    prepare.prepare(out)
    assert capsys.readouterr().out.count("nothing to do") == 3
    prepare.prepare(out, wanted=Wanted(source=source, classes=("sad", "happy")))
    assert ledger.classes(ledger.read(out)) == ("happy", "sad")


def test_data_dir_may_lie_in_the_source(tmp_path, images, usual):
    forms.write_folder(tmp_path, images)
    for _ in range(2):
        prepare.prepare(tmp_path / "out", wanted=Wanted(source=tmp_path))
    assert fates(tmp_path / "out") == usual
    prepare.prepare(tmp_path, wanted=Wanted(source=tmp_path))
    assert fates(tmp_path) == usual


def test_own_folder_is_read_where_it_is_or_told_to_be_renamed(tmp_path, images, usual):
    own = forms.write_folder(tmp_path / archive.FOLDER, images | {"train/angry/1.jpg": b"x"})
    prepare.prepare(tmp_path)
    assert fates(tmp_path) == usual
    assert (own / "train/angry/1.jpg").exists()
    with pytest.raises(UserError, match="give the folder another name"):
        prepare.prepare(tmp_path, wanted=Wanted(class_map={"angry": "happy"}))
    own.rename(tmp_path / "mine")
    prepare.prepare(tmp_path, wanted=Wanted(class_map={"angry": "happy"}))
    assert len(fates(tmp_path)) == len(usual) + 1


def test_the_scripts_ask_for_the_same(tmp_path):
    parser = argparse.ArgumentParser()
    wanted.add_arguments(parser)
    assert wanted.of_options(parser.parse_args([])) is None
    asked = wanted.of_options(
        parser.parse_args(["--classes", "sad+happy", "--source", "x.zip", "--test_share", "0.2"])
    )
    assert asked == Wanted(classes=("sad", "happy"), source=Path("x.zip"), test_share=0.2)
    for lacking in ((), ("test",), ("validation", "test")):
        record = json.loads(json.dumps(asked.record(lacking)))
        assert wanted.of_record(record).record(lacking) == asked.record(lacking)
    with pytest.raises(UserError, match="at least two different names"):
        wanted.of_options(parser.parse_args(["--classes", "sad"]))


def test_two_candidates_are_not_guessed_between(tmp_path, images):
    forms.write_zip(tmp_path / "a.zip", images)
    forms.write_folder(tmp_path / "images", images)
    with pytest.raises(UserError, match=r"one source of images in .*found 2: .*a\.zip"):
        prepare.prepare(tmp_path)
    prepare.prepare(tmp_path, last="unpack", wanted=Wanted(source=tmp_path / "a.zip"))
    with pytest.raises(UserError, match="nothing at"):
        prepare.prepare(tmp_path, wanted=Wanted(source=tmp_path / "b.zip"))


def test_an_unknown_tree_is_shown(tmp_path, images):
    forms.write_folder(tmp_path, {f"deep/{n}.jpg": b"x" for n in range(3)})
    with pytest.raises(UserError, match=r"no image in 'train/happy'.*the classes there: deep 3"):
        prepare.prepare(tmp_path)
    forms.write_folder(tmp_path, {"train/happy/x.jpg": b"x"})
    with pytest.raises(UserError, match=r"the top of the tree:\n    deep/ +3 files\n"):
        prepare.prepare(tmp_path)


def test_links_in_a_folder(tmp_path, images):
    forms.write_folder(tmp_path / "images", images)
    (tmp_path / "images/train/again").symlink_to(tmp_path / "images")  # a circle ends
    prepare.prepare(tmp_path, last="unpack")
    (tmp_path / "images/train/happy/lost.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"neither .*'images/train/happy/lost\.jpg'"):
        prepare.prepare(tmp_path)
