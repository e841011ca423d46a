"""Splits that a source lacks are made from train, or stay empty."""

import collections
import dataclasses
import json

import imagehash
import pytest

from faceemo.config import CLASSES, ImageFormat
from faceemo.data import builder
from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.prepare import folders, prepare
from faceemo.data.prepare.record import RECORD
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.remembering import read_fates

pytestmark = pytest.mark.usefixtures("caching_detector")


def near_pairs(rows):
    """Yields pairs of rows that must stay in one split: near dHashes, by comparing every pair."""
    for one in rows:
        for other in rows:
            if one.dhash and other.dhash and one.path < other.path:
                bits = imagehash.hex_to_hash(one.dhash) - imagehash.hex_to_hash(other.dhash)
                if bits <= 2:
                    yield one, other


@pytest.mark.slow
@pytest.mark.parametrize("form", ["train and test", "train and validation", "classes only"])
def test_missing_splits_are_made_by_seed(tmp_path, images, form, capsys):
    kept = {
        "train and test": lambda: forms.without(images, "validation"),
        "train and validation": lambda: forms.without(images, "test"),
        "classes only": lambda: forms.without_splits(images),
    }[form]()
    forms.write_zip(tmp_path / "a" / "x.zip", kept)
    selection = Selection(validation_share=0.2)
    prepare.prepare(tmp_path / "a", selection=selection)
    words = capsys.readouterr().out
    rows = ledger.read(tmp_path / "a")
    count = collections.Counter(row.split for row in rows)
    if form == "train and validation":
        assert "is split off from train" not in words
    else:
        assert "validation is split off from train" in words
        for label in CLASSES:
            own = [row for row in rows if row.label == label and row.split != "test"]
            share = sum(row.split == "validation" for row in own) / len(own)
            assert 0.1 < share < 0.35
        assert all(
            one.split == other.split
            for one, other in near_pairs([row for row in rows if row.split != "test"])
        )
        leaks = json.loads((tmp_path / "a" / RECORD).read_text())["dedupe"]["leaks"]
        for kind in ("same dHash", "near", "mirrored", "any of these"):
            assert not sum(leaks["before"]["validation in train"][kind].values())
    assert ("there is no test split" in words) == (form != "train and test")
    assert (count["test"] == 0) == (form != "train and test")
    # the same images under the same seed, wherever they come from
    forms.write_folder(tmp_path / "b" / "faces", dict(reversed(kept.items())))
    prepare.prepare(tmp_path / "b", selection=selection)
    assert read_fates(tmp_path / "b") == read_fates(tmp_path / "a")
    other = dataclasses.replace(selection, split_seed=1)
    prepare.prepare(tmp_path / "b", selection=other)
    # where no split was made the seed does not matter
    assert (read_fates(tmp_path / "b") == read_fates(tmp_path / "a")) == (
        form == "train and validation"
    )


def test_a_test_split_is_made_on_demand(tmp_path, images):
    forms.write_zip(tmp_path / "x.zip", forms.without_splits(images))
    prepare.prepare(tmp_path, selection=Selection(validation_share=0.2, test_share=0.2))
    count = collections.Counter(row.split for row in ledger.read(tmp_path))
    total = sum(count.values())
    assert abs(count["validation"] / total - 0.2) < 0.06
    assert abs(count["test"] / total - 0.2) < 0.06


def test_a_source_without_test_split_gives_an_empty_one(tmp_path, images):
    forms.write_zip(tmp_path / "x.zip", forms.below(forms.without(images, "test"), "images"))
    prepare.prepare(tmp_path, Rules(policy="original"))
    loaded = builder.load(tmp_path, ImageFormat(48))
    assert len(loaded["test"]) == 0
    assert loaded["test"].images.shape == (0, 48, 48)
    assert len(loaded["train"]) > 20


@pytest.mark.parametrize("gone", ["train/sad", "validation/"])
def test_a_class_or_split_emptied_by_cleaning_is_a_user_error(tmp_path, images, gone):
    kept = {path: content for path, content in images.items() if not path.startswith(gone)}
    forms.write_folder(tmp_path / folders.UNIQUE, kept)
    with pytest.raises(UserError, match=gone.rstrip("/")):
        builder.load(tmp_path, ImageFormat(48))
