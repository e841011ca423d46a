"""More and fewer classes than four, from a source that is no zip of ours to a report."""

import csv
import json
import unicodedata

import numpy as np
import pytest

from faceemo.analysis.predictions import Predictions, compute_scores
from faceemo.analysis.report import report
from faceemo.analysis.report.confusion_matrix import draw_confusion_matrix
from faceemo.config import CLASSES, class_map_of, classes_of, default_workdir, make_config, validate
from faceemo.errors import UserError
from faceemo.experiments import run
from tests.support.data import forms
from tests.support.models import small_network

pytestmark = pytest.mark.slow

FER = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def test_the_default_is_the_four():
    assert classes_of(make_config("vgg16")) == CLASSES
    assert class_map_of(make_config("vgg16")) == {}


def test_classes_as_they_are_written():
    config = make_config("vgg16", "7,classes=sad+happy,class_map=joy=happy+grief=sad")
    assert classes_of(config) == ("sad", "happy")
    assert class_map_of(config) == {"joy": "happy", "grief": "sad"}
    assert default_workdir(config).name == (
        "vgg16-7,class_map=joy=happy+grief=sad,classes=sad+happy"
    )


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("classes=happy", "at least two different names"),
        ("classes=happy+Happy", "at least two different names"),
        ("classes=happy+../sad", "'../sad' has '/', which separates folders"),
        ("classes=happy+..", "'..' begins with '.', as hidden folders do"),
        ("classes=happy+sad:", "'sad:' has ':', which cannot be part of the name of a folder"),
        ("classes=happy+-x", "'-x' begins with '-', as options do"),
        ("classes=happy+n.a.", r"'n\.a\.' ends with '\.'"),
        ("classes=happy+s\u200bad", r"unprintable character U\+200B"),
        ("classes=happy+", "'' is empty"),
        ("classes=happy+ + ", "at least two different names"),
        ("classes=happy+!?", "has '[?]', which cannot be"),
        (f"classes=happy+{'é' * 99}", "has 198 bytes, more than 120"),
        ("classes=fröhlich+fro\u0308hlich", "at least two different names"),
        ("classes=", "at least two different names"),
        ("class_map=joy", "pairs joined by"),
        ("class_map=joy=happy+joy=sad", "pairs joined by"),
        ("class_map=joy=glad", "class_map leads to glad"),
        ("classes=happy+fear,dataset=sample", "draws only happy, neutral"),
        ("validation_share=0", "above 0 and below 1"),
        ("validation_share=0.5,test_share=0.5", "less than 1 together"),
    ],
)
def test_classes_that_make_no_sense(arg, message):
    with pytest.raises(UserError, match=message):
        make_config("vgg16", f"7,{arg}")


NAMES = (
    "fröhlich",
    "überrascht",
    "खुश",
    "เศร้า",
    "l'ennui",
    "don’t know",
    "می\u200cخواهم",
    "n.a",
    "7",
)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_all_scripts_are_stored_composed(form):
    text = "+".join(f" {unicodedata.normalize(form, name)} " for name in NAMES)
    config = make_config("vgg16", f"7,classes={text},class_map=TRU\u0308B=fröhlich")
    assert classes_of(config) == NAMES
    assert config.classes == "+".join(NAMES)
    assert class_map_of(config) == {"TRÜB": "fröhlich"}
    old = make_config("vgg16")
    old.classes = text  # as an older version stored it
    assert classes_of(old) == NAMES


def test_fields_younger_than_a_config_keep_their_default():
    assert validate(make_config("vgg16")).split_seed == 1991921


def answers(classes, count=90):
    rng = np.random.default_rng(4)
    probabilities = rng.dirichlet(np.ones(len(classes)), count).astype(np.float32)
    labels = rng.integers(0, len(classes), count).astype(np.int32)
    images = rng.integers(0, 256, (count, 48, 48)).astype(np.uint8)
    paths = tuple(f"test/{classes[label]}/{n}.jpg" for n, label in enumerate(labels))
    return Predictions(probabilities, labels, paths, images, tuple(classes))


@pytest.mark.parametrize("classes", [("sad", "happy"), FER])
def test_scores_and_report_follow_the_classes(tmp_path, classes):
    predictions = answers(classes)
    scores = compute_scores(predictions)
    assert scores["classes"] == list(classes)
    assert np.array(scores["confusion"]).shape == (len(classes),) * 2
    assert list(scores["per_class"]) == list(classes)
    page = report.write(
        tmp_path / "report", split="test", predictions=predictions, history=[], summary={}
    )
    text = page.read_text()
    assert all(f'<th scope="col">{name}</th>' in text for name in classes)
    with (tmp_path / "report" / "predictions.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [classes.index(row["label"]) for row in rows] == predictions.labels.tolist()
    assert all(abs(sum(float(row[name]) for name in classes) - 1) < 1e-5 for row in rows)
    matrix = draw_confusion_matrix(scores)
    assert [text.get_text() for text in matrix.axes[0].get_xticklabels()] == list(classes)


def test_a_label_beyond_the_classes_is_refused():
    given = answers(FER)
    with pytest.raises(UserError, match="labels from 0 to 1"):
        Predictions(
            given.probabilities[:, :2] / given.probabilities[:, :2].sum(1, keepdims=True),
            given.labels, given.paths, given.images, ("sad", "happy"),
        )  # fmt: skip


@pytest.mark.slow(seconds=20)
@pytest.mark.usefixtures("plain_figures")
@pytest.mark.parametrize("classes", [("surprise", "happy", "sad"), FER])
def test_training_follows_the_classes(tmp_path, capsys, monkeypatch, classes):
    """From a folder without validation split, or a csv, to a report."""
    small_network.replace_mobilenet(monkeypatch)
    images = forms.decodable(forms.draw_images(tmp_path / "drawn"))
    if len(classes) == 3:
        source = forms.write_folder(tmp_path / "in", forms.without(images, "validation", "test"))
    else:
        table = forms.make_csv(forms.renumbered(forms.with_seven_classes(images))).encode()
        source = forms.write_folder(tmp_path, {"fer2013.csv": table}) / "fer2013.csv"
    config = make_config(
        "mobilenet",
        "1,image_size=32,weights=none,epochs=1,policy=keep,validation_share=0.3,"
        f"class_weights=balanced,classes={'+'.join(classes)},source={source},"
        f"data_dir={tmp_path / 'data'}",
    )
    workdir = tmp_path / "run"
    run.train(config, workdir)
    printed = capsys.readouterr().out
    assert ("validation is split off from train" in printed) == (len(classes) == 3)
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["classes"] == list(classes)
    scores = json.loads((workdir / "report/validation/scores.json").read_text())
    assert scores["classes"] == list(classes)
    assert len(scores["confusion"]) == len(classes)
    # a head of another width would not load
    if len(classes) == 3:
        with pytest.raises(UserError, match=r"images in the test split; found none.*test_share"):
            run.evaluate(config, workdir, "test", None)
    else:
        run.evaluate(config, workdir, "test", None)
        assert (workdir / "report/test/scores.json").is_file()
