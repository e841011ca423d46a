"""A stored network on images of one's own: the same predictions as `faceemo.load` makes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import faceemo
from faceemo.commands import cli
from faceemo.data.measure.decode import read_grey
from faceemo.data.sample import sample
from faceemo.errors import UserError
from faceemo.experiments import stored
from faceemo.train.checkpoint import trained_model
from tests.support.data import drawn_zip

BUILTIN, FOUR = Path("builtin"), Path("builtin-four")
REPORT = Path("report/validation/predictions.csv")


def read(path):
    with path.open(newline="") as file:
        return {row.pop("path"): row for row in csv.DictReader(file)}


@pytest.mark.slow(seconds=35)
@pytest.mark.usefixtures("plain_figures")
def test_a_stored_network_is_evaluated_and_compared_with_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    drawn_zip.write(Path("data/sample"), 5, sample.MIN_COUNTS)
    assert cli.main(["evaluate", "builtin", "--dataset", "sample"]) == 0
    assert "always predicting" in capsys.readouterr().out
    first = Path("checkpoints/builtin-on-sample")
    assert cli.main(["evaluate", "builtin", "--data-dir", "data/sample", "--workdir", "again"]) == 0
    found = read(first / REPORT)
    assert found == read(Path("again") / REPORT)
    predictor = faceemo.load(classes=("neutral", "happy", "surprise", "sad"))
    crops = np.stack([read_grey(Path("data/sample/unique_images", path), 48) for path in found])
    ours = np.array([[float(row[name]) for name in predictor.classes] for row in found.values()])
    np.testing.assert_allclose(ours, predictor.probabilities(crops), atol=1e-4)

    calibration = json.loads((first / REPORT).with_name("calibration.json").read_text())
    assert calibration["temperature"] == predictor.trained.temperature
    fields = ["--image-size", "64", "--weights", "builtin", "--epochs", "1", "--dataset", "sample"]
    assert cli.main(["train", "mobilenet:0", *fields, "--workdir", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["compare", "run", "builtin"]) == 0
    printed = capsys.readouterr().out
    right = sum(row["label"] == row["predicted"] for row in found.values())
    assert f"{right / len(found):.3f}" in next(
        line for line in printed.splitlines() if line.endswith("builtin")
    )


@pytest.mark.parametrize(
    ("classes", "fix"),
    [
        (
            ("happy", "neutral", "sad", "surprise", "bored"),
            "leave the others out with classes=happy",
        ),
        (("joy", "neutral", "sad", "surprise"), "map names with class_map=joy=happy if"),
    ],
)
def test_other_classes_are_one_error(classes, fix):
    trained = trained_model.read(FOUR)
    message = f"images of the classes of {FOUR}: happy, .*found {', '.join(classes)} in x.*{fix}"
    with pytest.raises(UserError, match=message):
        stored._restrict(FOUR, trained, classes, "x", options=True)
    with pytest.raises(UserError, match=r"Fix: train .*, and compare with that$"):
        stored._restrict(FOUR, trained, classes, "x", options=False)
    assert stored._restrict(FOUR, trained, trained.classes[::-1], "x", options=True) is trained


def test_a_network_that_knows_more_classes_predicts_those_of_the_images(capsys):
    trained = trained_model.read(FOUR)
    restricted = stored._restrict(FOUR, trained, ("surprise", "happy"), "x", options=False)
    assert restricted.classes == ("happy", "surprise")
    assert (
        "builtin-four knows 4 classes and predicts only those of the images: happy, surprise"
        in (capsys.readouterr().out)
    )
    with pytest.raises(UserError, match="images of the classes of builtin-four"):
        stored._restrict(FOUR, trained, ("happy",), "x", options=False)


def test_a_folder_that_is_not_prepared_is_one_error(tmp_path):
    from faceemo.config import make_config

    config = make_config("mobilenet", f"0,data_dir={tmp_path}")
    with pytest.raises(UserError, match=f"prepared images in {tmp_path} for builtin; found none"):
        stored.load_images(BUILTIN, trained_model.read(BUILTIN), config)
