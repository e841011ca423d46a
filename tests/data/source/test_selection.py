"""The selection of classes: filtered, mapped, ordered, changed, and as options of scripts."""

import collections
import json
from pathlib import Path

import pytest

from faceemo.config import CLASSES, SPLITS, ImageFormat
from faceemo.data import builder
from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.prepare import folders, prepare
from faceemo.data.prepare.record import RECORD
from faceemo.data.source import archive
from faceemo.data.source.selection import Selection
from tests.support.data import forms
from tests.support.data.remembering import read_fates, row_number

pytestmark = pytest.mark.usefixtures("caching_detector")

FER = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


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
    given = forms.with_seven_classes(images)
    forms.write_zip(tmp_path / "x.zip", given)
    chosen = Selection(classes=classes, class_map=class_map)
    prepare.prepare(tmp_path, Rules(policy="original"), selection=chosen)
    meaning = {name: name for name in classes} | class_map
    truth = {
        row_number(path): meaning[path.split("/")[1]]
        for path in given
        if path.split("/")[1] in meaning
    }
    assert {number: label for number, (_, label, _) in read_fates(tmp_path).items()} == truth
    left = collections.Counter(p.split("/")[1] for p in given if p.split("/")[1] not in meaning)
    assert json.loads((tmp_path / RECORD).read_text())["unpack"]["left_out"] == left
    loaded = builder.load(
        tmp_path, ImageFormat(48), classes
    )  # also where cleaning has emptied a class
    for split in SPLITS:
        assert loaded[split].classes == tuple(classes)
        assert len(loaded[split].class_counts()) == len(classes)
        for label, path in zip(loaded[split].labels, loaded[split].paths, strict=True):
            assert classes[label] == path.split("/")[1] == truth[row_number(path)]


def test_other_classes_replace_the_originals_and_the_first_come_back_the_same(tmp_path, images):
    forms.write_zip(tmp_path / "x.zip", forms.with_seven_classes(images))
    prepare.prepare(tmp_path)
    first = {p: p.read_bytes() for p in (tmp_path / folders.UNIQUE).rglob("*.jpg")}
    prepare.prepare(tmp_path, selection=Selection(classes=FER))
    assert ledger.list_classes(ledger.read(tmp_path)) == FER
    prepare.prepare(tmp_path)  # without a selection the classes stay
    assert ledger.list_classes(ledger.read(tmp_path)) == FER
    prepare.prepare(tmp_path, selection=Selection())
    assert {p: p.read_bytes() for p in (tmp_path / folders.UNIQUE).rglob("*.jpg")} == first


def test_records_restore_the_selection():
    selected = Selection(classes=("sad", "happy"), source=Path("x.zip"), test_share=0.2)
    for missing in ((), ("test",), ("validation", "test")):
        record = json.loads(json.dumps(selected.to_record(missing)))
        assert Selection.from_record(record).to_record(missing) == selected.to_record(missing)


def test_folders_of_persons_inside_classes_without_splits_are_read_by_the_names(tmp_path, images):
    without = forms.without_splits(images)
    files = {path.replace("/", "/Anna/"): content for path, content in without.items()}
    source = forms.write_folder(tmp_path / "faces", files)
    chosen = Selection(source=source, validation_share=0.3, classes=("happy", "sad"))
    prepare.prepare(tmp_path / "data", last="unpack", selection=chosen)
    made = forms.read_folder(tmp_path / "data" / archive.FOLDER)
    assert len(made) == sum(path.startswith(("happy/", "sad/")) for path in without)
    assert all(path.split("/")[2].startswith("Anna-") for path in made)
