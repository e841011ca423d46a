"""The files of a report, and how they replace those of an older one."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from faceemo.analysis.predictions import classification_report, compute_scores
from faceemo.analysis.report import figures, report
from faceemo.config import CLASSES
from faceemo.errors import UserError
from tests.support.analysis.report_page import Page, write

pytestmark = pytest.mark.slow


def test_report_holds_every_file(written):
    expected = set(report.FILES) - {"votes.json"}
    assert {path.name for path in written.parent.iterdir()} == expected
    assert [path.name for path in written.parent.parent.iterdir()] == ["validation"]
    for path in written.parent.glob("*.png"):
        image = np.asarray(Image.open(path).convert("L"))
        assert image.std() > 1, path


def test_files_agree_with_the_predictions(written, predictions):
    folder = written.parent
    assert json.loads((folder / "scores.json").read_text()) == compute_scores(predictions)
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(row["path"] for row in rows) == predictions.paths
    assert [CLASSES.index(row["label"]) for row in rows] == predictions.labels.tolist()
    assert [CLASSES.index(row["predicted"]) for row in rows] == predictions.predicted.tolist()
    back = np.array([[row[name] for name in CLASSES] for row in rows]).astype(np.float32)
    np.testing.assert_array_equal(back, predictions.probabilities)
    assert classification_report(predictions) in (folder / "classification_report.txt").read_text(
        "utf-8"
    )


def test_without_a_history_there_are_no_curves(tmp_path, few):
    path = write(tmp_path / "r", few, [], summary={})
    names = {entry.name for entry in path.parent.iterdir()}
    assert names == set(report.FILES) - {"accuracy.png", "loss.png", "votes.json"}
    assert "Training" not in Page(path).text


def test_curve_shows_the_baseline_of_validation_on_every_split(tmp_path, few, history, monkeypatch):
    drawn = []
    draw = figures.draw_learning_curve
    monkeypatch.setattr(
        figures,
        "draw_learning_curve",
        lambda *a, **k: drawn.append(k.get("baseline")) or draw(*a, **k),
    )
    write(tmp_path / "a", few, history, split="test")
    assert set(drawn) == {0.367, None}  # accuracy, loss
    drawn.clear()
    write(tmp_path / "b", few, history, split="test", summary={})
    assert set(drawn) == {None}


@pytest.mark.parametrize(
    ("figure", "interruption"), [("misclassified", KeyboardInterrupt), ("accuracy", OSError)]
)
def test_interrupted_write_leaves_the_older_report(
    tmp_path, few, history, monkeypatch, figure, interruption
):
    path = write(tmp_path / "r", few, history)
    before = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}

    def interrupt(*_, **__):
        raise interruption

    with monkeypatch.context() as patch:
        patch.setitem(figures.FIGURES, figure, figures.ReportFigure(interrupt))
        with pytest.raises(interruption):
            write(tmp_path / "r", few, history, split="test")
    assert {entry.name: entry.read_bytes() for entry in path.parent.iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["r"]
    write(tmp_path / "r", few, history, split="test")
    assert "on test" in path.read_text("utf-8")


def test_new_report_leaves_nothing_of_the_older_one(tmp_path, few, history):
    write(tmp_path / "r", few, history)
    path = write(tmp_path / "r", few, [])
    assert not (path.parent / "loss.png").exists()


def test_other_files_are_never_replaced(tmp_path, few):
    workdir = tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match="found checkpoints"):
        write(workdir, few, [])
    assert (workdir / "checkpoints").is_dir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="found a file"):
        write(tmp_path / "file", few, [])
    assert (tmp_path / "file").read_text() == "mine"


def test_same_inputs_give_the_same_page(tmp_path, few, history):
    pages = [write(tmp_path / name, few, history).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]
