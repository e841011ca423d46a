"""Tests of file names that are not UTF-8, long or full of control characters, in all outputs."""

import csv
import dataclasses
import io
import os
import shutil
import sys
from pathlib import Path

import cv2
import pytest
from PIL import Image

from faceemo.commands import cli
from faceemo.inference import formats
from faceemo.inference.output_paths import unique_name
from faceemo.inference.prediction import Prediction
from tests.support.data.faces import face

LATIN = os.fsdecode(b"caf\xe9.png")
FACE = Prediction.from_probabilities(
    7, "caf\udce9.png", {"happy": 0.75, "sad": 0.25}, (1.5, 2, 9, 10), 0.9,
    region=(0, 1, 9, 10), time=0.4, track=3,
)  # fmt: skip


def read_rows(text):
    return list(csv.DictReader(text.splitlines()))


@pytest.fixture
def folder(tmp_path):
    """A folder of crops with hard names; skips where the file system takes UTF-8 only."""
    folder = tmp_path / "in"
    folder.mkdir()
    try:
        for name in (LATIN, "n" * 251 + ".png", "a\nb\x1b[31m.png", "笑顔.png"):
            Image.fromarray(face(3)).save(folder / name)
    except OSError:
        pytest.skip("a file system of UTF-8 names only")
    return folder


@pytest.mark.parametrize("status", ["no_face", "unreadable"])
def test_all_formats_say_the_status_in_one_word(status):
    make = {
        "no_face": lambda: Prediction.without_face(0, "a"),
        "unreadable": lambda: Prediction.unreadable(0, "a", "an empty file"),
    }
    for form in formats.FORMATS:
        line = formats.make_formatter(form, ("happy", "sad"))[1](make[status]())
        assert status in line
        assert ("an empty file" in line) == (status == "unreadable" and form != "table")


@pytest.mark.parametrize("form", formats.FORMATS)
@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_a_terminal_of_any_encoding_shows_all_names(
    with_small_predictor, folder, monkeypatch, form, encoding
):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    assert cli.main(["predict", "run", str(folder), "--crops", "--format", form]) == 0
    lines = written.getvalue().decode(encoding).splitlines()
    assert len(lines) == 4 + {"json": 2, "jsonl": 0}.get(form, 1)
    text = "\n".join(lines)
    assert r"caf\xe9.png" in text.replace(r"\\", "\\")
    assert r"a\nb\x1b[31m.png" in text.replace(r"\\", "\\")
    smile = "笑顔" if encoding == "utf-8" and not form.startswith("json") else r"\u7b11\u9854"
    assert f"{smile}.png" in text


def test_hard_names_survive_out_draw_and_explain(with_small_predictor, folder, tmp_path, capsys):
    out, drawn, explained = tmp_path / ("o" * 255), tmp_path / "drawn", tmp_path / "explained"
    options = ["--crops", "--out", str(out), "--draw", str(drawn), "--format", "csv"]
    assert cli.main(["predict", "run", str(folder), *options]) == 0
    assert [row["name"].rpartition("/")[2] for row in read_rows(out.read_text())] == [
        *(r"a\nb\x1b[31m.png", r"caf\xe9.png", "n" * 251 + ".png", "笑顔.png")
    ]
    assert {path.name for path in drawn.iterdir()} == {path.name for path in folder.iterdir()}
    options = ["--crops", "--out", str(explained)]
    assert cli.main(["explain", "run", str(folder), *options]) == 0
    assert {path.name for path in explained.iterdir()} == {path.name for path in folder.iterdir()}


def test_names_of_drawn_images_fit_the_file_system():
    names = set()
    for path, expected in (
        (Path("x" * 255), "x" * 251 + ".png"),
        (Path("y") / ("x" * 255), "x" * 249 + "-2.png"),
        (Path("笑" * 85), "笑" * 83 + ".png"),
        (Path("a/b.jpg"), "b.png"),
        (Path("c/b.jpg"), "b-2.png"),
    ):
        name = unique_name(path, ".png", names)
        assert name == expected
        assert len(os.fsencode(name)) <= 255


def test_a_film_with_a_name_that_opencv_cannot_take_is_read_and_drawn(
    with_small_predictor, film, tmp_path, capsys
):
    named = film.with_name(os.fsdecode(b"fil\xe9.mp4"))
    try:
        shutil.copy(film, named)
    except OSError:
        pytest.skip("a file system of UTF-8 names only")
    drawn = tmp_path / os.fsdecode(b"dr\xe4wn.mp4")
    command = ["predict", "run", str(named), "--crops", "--every", "20", "--draw", str(drawn)]
    assert cli.main(command) == 0
    assert r"fil\xe9.mp4#20" in capsys.readouterr().out
    assert drawn.stat().st_size > 1000


def test_images_and_films_of_one_name_are_drawn_into_one_folder(
    with_small_predictor, film, photos, tmp_path
):
    (tmp_path / "copies").mkdir()
    named = film.stem
    image = shutil.copy(photos / "wall.png", tmp_path / "copies" / f"{named}.png")
    other = shutil.copy(film, tmp_path / "copies" / film.name)
    inputs = [str(film), str(image), str(other)]
    drawn = tmp_path / "drawn"
    command = ["predict", "run", *inputs, "--crops", "--every", "20", "--draw", str(drawn)]
    assert cli.main(command) == 0
    names = [f"{named}-2.mp4", f"{named}-3.mp4", f"{named}.png"]
    assert sorted(path.name for path in drawn.iterdir()) == names
    for name in names[:2]:
        assert cv2.VideoCapture(str(drawn / name)).get(cv2.CAP_PROP_FRAME_COUNT) == 2


def test_films_and_images_have_indices_and_times_of_their_own(
    with_small_predictor, film, photos, capsys
):
    other = film.with_name("other.mp4")
    shutil.copy(film, other)
    inputs = [str(photos / "wall.png"), str(film), str(other)]
    assert cli.main(["predict", "run", *inputs, "--crops", "--every", "10", "--format", "csv"]) == 0
    rows = read_rows(capsys.readouterr().out)
    assert [int(row["index"]) for row in rows] == [0, 1, 11, 21, 31, 41, 51, 61, 71]
    assert [row["time"] for row in rows] == ["", *(("0.0", "1.0", "2.0", "3.0") * 2)]


def test_python_predicts_films_as_the_command_does(predictor, film):
    found = predictor.predict([face(1), film.parent / "film.mp4", face(1)], crops=True)
    assert [one.index for one in found] == list(range(42))
    assert found[1].name == f"{film}#0"
    assert [one.time for one in found[1:41]] == pytest.approx([k / 10 for k in range(40)])
    assert [one.track for one in found] == [None, *[1] * 40, None]


def test_all_frames_of_a_video_with_a_long_name_are_shortened_alike():
    _, line = formats.make_formatter("table", ("happy", "sad"))
    for length in range(25, 50):
        video = f"{'n' * length}.mp4"
        shown = [
            line(dataclasses.replace(FACE, name=f"{video}#{frame}")).split()[0]
            for frame in (0, 9, 10, 99, 100, 123456)
        ]
        assert len({name.rpartition("#")[0] for name in shown}) == 1, video
        assert [name.rpartition("#")[2] for name in shown][-1] == "123456"
        assert max(map(len, shown)) <= 40
