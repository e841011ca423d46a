"""Tests of the commands as a user gives them: images, videos, output, unreadable input."""

import csv
import json
import re
import shutil
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from faceemo.commands import cli
from faceemo.inference import explain
from faceemo.inference.prediction import Prediction

pytestmark = pytest.mark.slow


def read_rows(text):
    return list(csv.DictReader(text.splitlines()))


def test_photos_are_predicted_in_all_three_formats(network, network_predictor, photos, capsys):
    expected = network_predictor.predict(
        [photos / name for name in ("a pair.png", "more/crop.png")]
    )
    assert cli.main(["predict", str(network), str(photos), "--format", "csv"]) == 1
    printed = capsys.readouterr()
    rows = read_rows(printed.out)
    (broken,) = (row for row in rows if row["status"] == "unreadable")
    assert broken["name"] == str(photos / "broken.jpg")
    rows.remove(broken)
    assert [row["status"] for row in rows][-1] == "no_face"
    assert [row["name"].rpartition("/")[2] for row in rows] == [
        *("a pair.png", "a pair.png", "crop.png", "wall.png")
    ]
    for row, one in zip(rows, expected, strict=False):
        assert row["label"] == (one.label or "")
        for name, value in one.probabilities.items():
            assert float(row[name]) == pytest.approx(value, rel=1e-5)
        assert [float(row[edge]) for edge in ("left", "top", "right", "bottom")] == list(one.box)
    assert "1 could not be read" in printed.err
    assert "broken.jpg: not an image or video (text)" in printed.err
    pattern = str(photos / "**" / "*.png")
    assert cli.main(["predict", str(network), pattern, "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["name"] for line in lines} == {row["name"] for row in rows}
    assert cli.main(["predict", str(network), str(photos / "wall.png")]) == 0
    assert "no_face" in capsys.readouterr().out


def test_annotated_images_and_a_file_of_predictions_are_written(network, photos, tmp_path, capsys):
    drawn, out = tmp_path / "drawn", tmp_path / "predictions.csv"
    options = ["--draw", str(drawn), "--out", str(out), "--format", "csv"]
    assert cli.main(["predict", str(network), str(photos), *options]) == 1
    assert capsys.readouterr().out == ""
    assert len(read_rows(out.read_text())) == 5
    assert {path.name for path in drawn.iterdir()} == {"a pair.png", "crop.png", "wall.png"}
    with Image.open(drawn / "a pair.png") as after, Image.open(photos / "a pair.png") as before:
        assert after.size == before.size
        assert (np.asarray(after) != np.asarray(before)[..., None]).any()
    with Image.open(drawn / "crop.png") as image:
        assert image.size == (480, 480)


def test_a_video_is_predicted_frame_by_frame(network, film, tmp_path, capsys):
    drawn = tmp_path / "drawn.mp4"
    options = ["--every", "4", "--draw", str(drawn), "--format", "csv"]
    assert cli.main(["predict", str(network), str(film), *options]) == 0
    rows = read_rows(capsys.readouterr().out)
    assert [int(row["index"]) for row in rows] == list(range(0, 40, 4))
    centres = [(float(row["left"]) + float(row["right"])) / 2 for row in rows]
    assert centres == pytest.approx([80 + 3 * frame for frame in range(0, 40, 4)], abs=20)
    written = cv2.VideoCapture(str(drawn))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) == 10
    assert written.get(cv2.CAP_PROP_FPS) == 2.5


def test_explanations_are_one_figure_per_face(network, photos, tmp_path, capsys):
    out = tmp_path / "explained"
    assert cli.main(["explain", str(network), str(photos), "--out", str(out)]) == 1
    names = {path.name for path in out.iterdir()}
    assert names == {"a pair.png", "a pair-2.png", "crop.png"}
    printed = capsys.readouterr()
    assert "3 figures" in printed.out
    assert "1 without a face" in printed.err
    assert "broken.jpg" in printed.err


@pytest.mark.parametrize("best", [0.73, 0.8, 1.0])
def test_each_probability_is_written_behind_its_bar(best):
    probabilities = {"happy": 1 - best, "sad": best}
    found = Prediction.from_probabilities(0, "face.png", probabilities, (0, 0, 8, 8), 1.0)
    flat = np.zeros((8, 8), np.float32)
    *_, axes = explain.draw_explanation(explain.Explanation(found, flat, flat, flat, 8)).axes
    assert [text.get_text() for text in axes.texts] == [f"{1 - best:.0%}", f"{best:.0%}"]
    bars: Any = axes.patches
    for text, bar in zip(axes.texts, bars, strict=True):
        assert bar.get_width() < text.get_position()[0] < axes.get_xlim()[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lost.jpg", "gone/*.png"], 2, "lost.jpg, gone/*.png"),
        (["EMPTY"], 2, "an image in EMPTY"),
        ([], 2, "--webcam"),
        (["--webcam", "99"], 2, "webcam 99"),
        (["--smooth", "1", "."], 2, "below 1"),
        (["--every", "0", "."], 2, "from 1"),
    ],
)
def test_a_mistake_ends_in_one_message(
    network, capfd, arguments, code, message, tmp_path, monkeypatch
):
    (tmp_path / "EMPTY").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["predict", str(network), *arguments])
    assert stopped.value.code == code
    printed = capfd.readouterr().err
    assert message in printed
    assert "Traceback" not in printed


def test_two_videos_are_not_drawn_into_one_file(film, tmp_path, capsys):
    inputs = [str(film), str(shutil.copy(film, tmp_path / "other.mp4"))]
    with pytest.raises(SystemExit):
        cli.main(["predict", "no run needed", *inputs, "--draw", str(tmp_path / "drawn.mp4")])
    assert "name a folder with --draw" in capsys.readouterr().err


def test_a_closed_pipe_ends_the_command_quietly(network, photos):
    """`faceemo predict ... | head -1` closes it."""
    command_line = [sys.executable, "-m", "faceemo.commands.cli", "predict", str(network)]
    with subprocess.Popen(
        [*command_line, *[str(photos)] * 40],  # so many that some are left when it closes
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("image")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize("command", [["predict"], ["explain", "--out", "figures"]])
def test_options_of_the_search_for_faces_reach_it(
    command, network, photos, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    name, *options = command
    words = [name, str(network), str(photos / "a pair.png"), *options]
    assert cli.main([*words, "--min-face", "250"]) == 0
    assert re.search("no.face", capsys.readouterr().out)
    assert cli.main([*words, "--face-threshold", "0.9999999"]) == 0
    assert re.search("no.face", capsys.readouterr().out)
    with pytest.raises(SystemExit):
        cli.main([*words, "--crops", "--min-face", "250"])
    assert "found --crops and --min-face" in capsys.readouterr().err


def test_an_explanation_says_what_its_colours_and_numbers_mean():
    found = Prediction.from_probabilities(0, "face.png", {"happy": 0.75, "sad": 0.25}, None, None)
    flat = np.zeros((8, 8), np.float32)
    figure = explain.draw_explanation(explain.Explanation(found, flat, flat, flat + 0.125, 16))
    assert figure.axes[0].get_title(loc="left") == "8x8, enlarged to 16x16"
    said = " ".join(text.get_text() for text in figure.texts)
    assert "percentage points by which the probability of happy falls" in said
    figure.canvas.draw()
    *_, evidence_scale, fall_scale, _ = figure.axes
    evidence, fall = (
        [label.get_text() for label in axes.get_yticklabels()]
        for axes in (evidence_scale, fall_scale)
    )
    assert evidence == ["none", "most"]
    assert {"+10", "0", "-10"} <= set(fall), "points, without a negative zero"
