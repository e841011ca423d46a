"""Classes that are asked for: chosen, mapped, ordered, changed, and as the scripts ask."""

import argparse
import collections
import json
from pathlib import Path

import pytest

from faceemo.config import CLASSES, SPLITS
from faceemo.data import builder
from faceemo.data.ledger import ledger
from faceemo.data.prepare import folders, prepare
from faceemo.data.source import selection, sources
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.remembering import fates, row_number

pytestmark = pytest.mark.usefixtures("light")

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
    given = forms.seven(images)
    forms.write_zip(tmp_path / "x.zip", given)
    chosen = Selection(classes=classes, class_map=class_map)
    prepare.prepare(tmp_path, selection=chosen)
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


def test_other_classes_replace_what_was_made_and_come_back_the_same(tmp_path, images):
    forms.write_zip(tmp_path / "x.zip", forms.seven(images))
    prepare.prepare(tmp_path)
    first = {p: p.read_bytes() for p in (tmp_path / folders.UNIQUE).rglob("*.jpg")}
    prepare.prepare(tmp_path, selection=Selection(classes=FER))
    assert ledger.list_classes(ledger.read(tmp_path)) == FER
    prepare.prepare(tmp_path)  # nobody asks for other classes: they stay
    assert ledger.list_classes(ledger.read(tmp_path)) == FER
    prepare.prepare(tmp_path, selection=Selection())
    assert {p: p.read_bytes() for p in (tmp_path / folders.UNIQUE).rglob("*.jpg")} == first


def test_the_scripts_ask_for_the_same(tmp_path):
    parser = argparse.ArgumentParser()
    selection.add_arguments(parser)
    assert selection.of_options(parser.parse_args([])) is None
    asked = selection.of_options(
        parser.parse_args(["--classes", "sad+happy", "--source", "x.zip", "--test_share", "0.2"])
    )
    assert asked == Selection(classes=("sad", "happy"), source=Path("x.zip"), test_share=0.2)
    for lacking in ((), ("test",), ("validation", "test")):
        record = json.loads(json.dumps(asked.record(lacking)))
        assert selection.of_record(record).record(lacking) == asked.record(lacking)
    with pytest.raises(UserError, match="at least two different names"):
        selection.of_options(parser.parse_args(["--classes", "sad"]))
