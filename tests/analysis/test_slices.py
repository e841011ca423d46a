"""Slices against pandas and counts by hand; a user's file of groups; leaks among kept images."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from faceemo.analysis import slices
from faceemo.config import CLASSES
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Likeness
from faceemo.data.ledger.rules import Rules
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from tests.support.data.on_disk import store
from tests.support.data.rows import row


def rows_of(predictions, **fields):
    return [row(path, **fields) for path in predictions.paths]


def found(predictions, rows, by, split="test", columns=None):
    groupings = slices.make_groupings(predictions, rows, Rules(), split, columns)
    (entry,) = [entry for entry in slices.score_slices(predictions, groupings) if entry["by"] == by]
    return entry


def test_quarters_of_brightness_are_pandas(predictions):
    frame = pd.DataFrame(
        {
            "value": predictions.images.mean(axis=(1, 2)),
            "right": predictions.predicted == predictions.labels,
            "label": predictions.labels,
        }
    )
    groups = frame.groupby(pd.qcut(frame["value"], 4, labels=False))
    entry = found(predictions, rows_of(predictions), "brightness")
    assert len(entry["slices"]) == 4
    for ours, (_, theirs) in zip(entry["slices"], groups, strict=True):
        assert (ours["images"], ours["right"]) == (len(theirs), theirs["right"].sum())
        assert ours["accuracy"] == theirs["right"].mean()
        interval = proportion_confint(theirs["right"].sum(), len(theirs), method="wilson")
        assert ours["interval"] == pytest.approx(interval)
        assert ours["majority_baseline"] == theirs["label"].value_counts().max() / len(theirs)
        assert f"{theirs['value'].min():.0f} to {theirs['value'].max():.0f}" in ours["name"]


def test_every_image_is_in_one_slice_of_each_grouping(predictions):
    rows = rows_of(predictions, face_confidence=0.9)[:-20]  # 20 are not in the ledger
    groupings = slices.make_groupings(predictions, rows, Rules(), "test")
    assert [grouping.by for grouping in groupings] == [
        "leaks", "brightness", "contrast", "face confidence", "duplicate group",
    ]  # fmt: skip
    for entry in slices.score_slices(predictions, groupings):
        assert sum(part["images"] for part in entry["slices"]) == len(predictions.labels)
    unknown = {
        entry["by"]: entry["slices"][-1] for entry in slices.score_slices(predictions, groupings)
    }
    for by in ("leaks", "face confidence", "duplicate group"):
        assert (unknown[by]["name"], unknown[by]["images"]) == ("unknown", 20)
    # all faces have the same confidence: one slice, not four with the same bounds
    assert len(found(predictions, rows, "face confidence")["slices"]) == 2


def test_grouping_without_any_known_value_is_left_out(predictions):
    groupings = slices.make_groupings(predictions, rows_of(predictions), Rules(), "test")
    assert "face confidence" not in [grouping.by for grouping in groupings]


def test_leaks_are_twins_among_kept_images():
    alike = Likeness(pixels_sha256="near", path="train/sad/3.jpg", distance=1, similarity=0.9,
                     mirrored=True)  # fmt: skip
    rows = [
        row("train/sad/1.jpg", dhash="a"),
        row("train/sad/2.jpg", dhash="b", fate=ledger.DUPLICATE),
        row("train/sad/3.jpg", pixels_sha256="near"),
        row("validation/sad/4.jpg", dhash="a"),
        row("validation/sad/5.jpg", dhash="b"),  # its twin is not kept
        row("validation/sad/6.jpg", similar=(alike,)),
        row("validation/sad/7.jpg", sha256="c"),
        row("test/sad/8.jpg", sha256="c"),
        row("test/sad/9.jpg"),
    ]
    assert slices.find_leaked(rows, Rules(), "validation") == {
        "validation/sad/4.jpg",
        "validation/sad/6.jpg",
    }, "test images are not seen in training"
    assert slices.find_leaked(rows, Rules(), "test") == {"test/sad/8.jpg"}
    assert slices.find_leaked(rows, Rules(near_similarity=0.95), "validation") == {
        "validation/sad/4.jpg"
    }


def test_accuracy_with_and_without_leaked_images(predictions):
    right = predictions.predicted == predictions.labels
    rows = rows_of(predictions)
    for index in np.flatnonzero(right)[:10]:
        rows.append(row(f"train/{CLASSES[0]}/{index}.jpg", sha256=predictions.paths[index]))
    entry = found(predictions, rows, "leaks")
    clean, leaked = entry["slices"]
    assert (leaked["name"], leaked["images"], leaked["accuracy"]) == ("leaked", 10, 1)
    assert clean["accuracy"] == (right.sum() - 10) / (len(right) - 10)
    gap, low, high = entry["difference"]
    assert gap == pytest.approx(1 - clean["accuracy"])
    assert low < gap < high


def test_twins_that_were_left_out_of_training_are_a_slice(predictions):
    """The policy 'strict' removes them from train: no image is leaked, and yet some had a twin."""
    paths = predictions.paths
    twins = dict.fromkeys(paths[:9], ("train",)) | {paths[9]: ("test",)}
    rows = [row(path, leaks=twins.get(path, ())) for path in paths]
    split = paths[0].split("/")[0]
    entry = found(predictions, rows, "twins in the source", split)
    images = {part["name"]: part["images"] for part in entry["slices"]}
    assert images == {"no twin": len(paths) - 9, "has a twin": 9}
    right = (predictions.predicted == predictions.labels)[9:].mean()
    assert entry["slices"][0]["accuracy"] == pytest.approx(right)


def test_closest_likeness_names_the_slice(predictions):
    rows = rows_of(predictions)
    same = {"exact_group": "x", "duplicate_group": "y", "near_group": "z"}
    for index, fields in enumerate((same, {"duplicate_group": "y", "near_group": "z"},
                                    {"near_group": "z"})):  # fmt: skip
        rows[index] = row(predictions.paths[index], **fields)
    entry = found(predictions, rows, "duplicate group")
    counts = {part["name"]: part["images"] for part in entry["slices"]}
    rest = len(rows) - 3
    assert counts == {"alone": rest, "same pixels": 1, "same dHash": 1, "near": 1}


def test_groups_from_a_users_file(predictions, tmp_path):
    file = tmp_path / "groups.csv"
    paths = predictions.paths
    lines = [f"{path},{'older' if i % 3 else 'younger'},\n" for i, path in enumerate(paths[:-5])]
    file.write_text("\ufeffpath,age,empty\n" + "".join(lines), encoding="utf-8")
    columns = slices.read_columns(file)
    entry = found(predictions, rows_of(predictions), "age", columns=columns)
    counts = [(part["name"], part["images"]) for part in entry["slices"]]
    younger = len(range(0, len(paths) - 5, 3))
    assert counts == [("older", len(paths) - 5 - younger), ("younger", younger), ("unknown", 5)]
    groupings = slices.make_groupings(predictions, rows_of(predictions), Rules(), "test", columns)
    assert "empty" not in [grouping.by for grouping in groupings]


def test_groups_of_other_images_are_refused(predictions, tmp_path):
    file = tmp_path / "groups.csv"
    file.write_text("path,age\n/home/me/faces/7.jpg,old\n8.jpg,young\n")
    columns = slices.read_columns(file)
    message = (
        rf"expected paths of the 120 images of test, such as '{predictions.paths[0]}'.*"
        r"found 2 others, such as '/home/me/faces/7.jpg'.*source_path.*--split"
    )
    paths = predictions.paths
    with pytest.raises(UserError, match=message):
        slices.match_columns(columns, paths, paths, "test")
    columns["age"][paths[5]] = "old"
    columns = slices.match_columns(columns, paths, paths, "test")
    groupings = slices.make_groupings(predictions, rows_of(predictions), Rules(), "test", columns)
    assert groupings[-1].names.count("old") == 1, "one image in common is enough"


def test_groups_may_name_images_by_their_paths_in_the_source():
    """The first image's path is the second one's name in the source, as after a renaming."""
    paths, names = (
        ("test/a/1.jpg", "test/b/1.jpg", "test/b/2.jpg"),
        ("b/9.jpg", "test/a/1.jpg", "\xe9"),
    )
    columns = {"age": dict(zip(names, ("old", "young", "both"), strict=True))}
    assert slices.match_columns(columns, paths, names, "test") == {
        "age": dict(zip(paths, ("old", "young", "both"), strict=True))
    }
    with pytest.raises(UserError, match=r"such as 'test/a/1\.jpg' or 'b/9\.jpg', in the file"):
        slices.match_columns({"age": {"x": "old"}}, paths, names, "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the column path and one or more.*found none"),
        ("file,age\na,b\n", "the column path and one or more.*found the columns file, age"),
        ("path\na\n", "the column path and one or more.*found the columns path"),
        ("path;age\na;b\n", "found the columns path;age"),
        ("path,age\n", "found 0 rows without a group"),
        ("path,age\na,\nb\n", "found 2 rows without a group"),
        ("path,age\na,b\nc,d,e\n", "another number of values in row 3"),
        ("path,age\na,b\na,c\n", "1 rows that repeat one"),
        ("path,age\n" + "".join(f"{i},{i}\n" for i in range(21)), "at most 20 groups"),
        (None, "No such file"),
    ],
)
def test_malformed_files_of_groups_are_refused(tmp_path, text, message):
    file = tmp_path / "groups.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=message):
        slices.read_columns(file)


def test_brightness_of_images_in_colour_is_that_of_their_grey_levels(predictions):
    """A tint leaves no trace in the contrast, as it would in the deviation over all channels."""
    rows = rows_of(predictions)
    coloured = dataclasses.replace(
        predictions, images=np.repeat(predictions.images[..., None], 3, axis=-1)
    )
    for by in ("brightness", "contrast"):
        assert found(coloured, rows, by) == found(predictions, rows, by)
    flat = np.zeros_like(coloured.images)
    flat[..., 0] = np.arange(len(flat))[:, None, None] % 200 + 40
    entry = found(dataclasses.replace(coloured, images=flat), rows, "contrast")
    assert [part["name"] for part in entry["slices"]] == ["highest quarter, 0 to 0"]


def test_images_on_disk_are_sliced_as_those_in_memory(predictions, tmp_path):
    split = Split(predictions.images, predictions.labels, predictions.paths)
    stored = dataclasses.replace(predictions, images=store(split, tmp_path).images)
    one, two = (
        slices.make_groupings(each, rows_of(each), Rules(), "test")
        for each in (predictions, stored)
    )
    assert one == two
