"""Tests of unreadable inputs, which are listed, and of the places that --draw accepts."""

import csv
import errno
import os
import sys
from pathlib import Path

import pytest

from faceemo.commands import cli
from faceemo.inference import predict_files
from faceemo.inference.film.video import Video
from tests.support.inference.asking import crop_png


def read_rows(text):
    return list(csv.DictReader(text.splitlines()))


def read_problems(rows):
    """Returns {name of the file: problem} of the unreadable ones."""
    return {Path(row["name"]).name: row["problem"] for row in rows if row["status"] == "unreadable"}


@pytest.fixture
def predict(with_small_predictor, capsys):
    """A function that runs the command on the small network and returns its rows and messages."""

    def run(*arguments, code=0):
        assert cli.main(["predict", "run", *map(str, arguments), "--format", "csv"]) == code
        printed = capsys.readouterr()
        return read_rows(printed.out), printed.err

    return run


def test_a_file_with_a_read_error_is_listed(predict, photos, monkeypatch, tmp_path):
    """So is a file that vanishes after the command has begun."""
    read_bytes = Path.read_bytes

    def failing(path):
        if path.name == "crop.png":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        if path.name == "wall.png":
            path.unlink()
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    out = tmp_path / "predictions.csv"
    _, errors = predict(photos, "--out", out, code=1)
    rows = read_rows(out.read_text())
    assert {row["name"] for row in rows if row["status"] in ("ok", "unsure")} == {
        str(photos / "a pair.png")
    }
    assert read_problems(rows) == {
        "broken.jpg": "not an image or video (text)",
        "crop.png": "OSError: Input/output error",
        "wall.png": "FileNotFoundError: No such file or directory",
    }
    assert "3 could not be read" in errors
    assert "crop.png: OSError: Input/output error" in errors
    assert "wall.png: FileNotFoundError: No such file" in errors


def test_an_unreadable_image_has_a_row_in_every_format(with_small_predictor, tmp_path, capsys):
    path = tmp_path / "notimg.jpg"
    path.write_text("no image")
    assert cli.main(["predict", "run", str(path)]) == 1
    header, row = capsys.readouterr().out.splitlines()
    assert header.startswith("image")
    assert row.split()[1:3] == ["unreadable", "-"]
    assert cli.main(["predict", "run", str(path), "--format", "csv"]) == 1
    (one,) = read_rows(capsys.readouterr().out)
    assert (one["status"], one["problem"]) == ("unreadable", "not an image or video (text)")


def test_a_table_without_rows_has_no_header_but_a_csv_has(
    with_small_predictor, film, monkeypatch, capsys
):
    monkeypatch.setattr(Video, "read_frames", lambda self: iter(()))
    assert cli.main(["predict", "run", str(film)]) == 0
    assert not capsys.readouterr().out
    assert cli.main(["predict", "run", str(film), "--format", "csv"]) == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_a_folder_without_read_permission_is_listed(predict, photos, monkeypatch):
    scan = os.scandir

    def failing(path):
        if Path(path) == photos / "more":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", failing)
    rows, errors = predict(photos, code=1)
    read = {Path(row["name"]).name for row in rows if row["status"] != "unreadable"}
    assert read == {"a pair.png", "wall.png"}
    assert read_problems(rows) == {
        "broken.jpg": "not an image or video (text)",
        "more": "PermissionError: Permission denied",
    }
    assert "2 could not be read" in errors
    assert f"{photos / 'more'}: " in errors


def test_a_video_that_cannot_be_opened_is_listed(predict, photos, film, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    out = tmp_path / "predictions.csv"
    _, errors = predict(broken, photos / "a pair.png", film, "--every", "20", "--out", out, code=1)
    rows = read_rows(out.read_text())
    assert {row["name"].rpartition("/")[2] for row in rows} == {
        *("a pair.png", "broken.mp4", "film.mp4#0", "film.mp4#20")
    }
    problem = "a video that cannot be opened: it is damaged or cut off"
    assert read_problems(rows) == {"broken.mp4": problem}
    # the broken one counts as one image, and so does every frame of the other
    assert [int(row["index"]) for row in rows] == [0, 0, 1, 2, 22]
    assert f"1 could not be read:\n  {broken}: {problem}" in errors


def test_a_missing_webcam_is_reported_before_work(monkeypatch, capsys):
    monkeypatch.setattr(
        predict_files, "load", lambda _, **options: pytest.fail("the network was loaded")
    )
    with pytest.raises(SystemExit) as stopped:
        cli.main(["predict", "run", "--webcam", "99"])
    assert stopped.value.code == 2
    assert "webcam 99" in capsys.readouterr().err


def test_videos_in_folders_are_predicted_too(predict, film, tmp_path):
    folder = tmp_path / "holiday.mp4"  # a folder, whatever its suffix
    (folder / "more").mkdir(parents=True)
    (folder / "crop.png").write_bytes(crop_png(2))
    film.rename(folder / "more" / "FILM.MP4")
    rows, _ = predict(folder, "--every", "20")
    assert [row["name"].rpartition("/")[2] for row in rows] == [
        *("crop.png", "FILM.MP4#0", "FILM.MP4#20")
    ]


@pytest.mark.parametrize(
    "inputs",
    [
        ["photos"],
        ["film.mp4", "photos/wall.png"],
        ["film.mp4", "other.mp4"],
        ["mixed"],
        ["photos", "--webcam", "0"],
        ["film.mp4", "--webcam", "0"],
    ],
)
def test_a_video_for_more_than_one_video_is_refused(
    photos, film, tmp_path, monkeypatch, capsys, inputs
):
    draw = "drawn.mp4"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        predict_files, "load", lambda _, **options: pytest.fail("the network was loaded")
    )
    Path("other.mp4").write_bytes(film.read_bytes())
    Path("mixed").mkdir()
    for path in (photos / "wall.png", film):
        Path("mixed", path.name).write_bytes(path.read_bytes())
    with pytest.raises(SystemExit) as stopped:
        cli.main(["predict", "run", *inputs, "--draw", draw])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "one video alone" in message
    assert draw in message
    assert not Path(draw).exists()


@pytest.mark.parametrize(("out", "bars"), [(False, 0), (True, 1)])
def test_a_terminal_shows_predictions_or_progress_but_not_both(
    with_small_predictor, photos, tmp_path, monkeypatch, out, bars
):
    shown = []

    def bar(stream, *_, disable, **__):
        shown.append(disable)
        return stream

    monkeypatch.setattr(predict_files, "tqdm", bar)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    options = ["--out", str(tmp_path / "predictions.csv")] if out else []
    assert cli.main(["predict", "run", str(photos), *options]) == 1
    assert [disable is not True for disable in shown].count(True) == bars


def test_inputs_may_stand_between_options(predict, photos):
    rows, _ = predict("--crops", photos / "wall.png", "--every", "2", photos / "a pair.png")
    assert [Path(row["name"]).name for row in rows] == ["wall.png", "a pair.png"]
