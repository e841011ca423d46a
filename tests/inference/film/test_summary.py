"""Tests of a film's summary against sums by hand, and of its plot and files."""

import csv

import numpy as np
import pytest
from matplotlib.patches import StepPatch
from PIL import Image

from faceemo.commands import cli
from faceemo.inference import predict_files
from faceemo.inference.film import plot
from faceemo.inference.film.summary import FilmRecord, format_csv
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import Predictor
from tests.support.inference import films

CLASSES = ("happy", "sad")
TIMES = (0.0, 0.1, 0.4, 0.5, 1.5)  # a rate that varies
# What each face shows in each frame: a class, '?' where it is unsure, ' ' where it is not seen.
FACES = {1: "hhs?s", 2: " ss  ", 5: "h  hh"}
UNTIL = (*TIMES[1:], 1.7)


def predict_face(track, shown, time):
    if shown == "?":
        probabilities = {"happy": 0.4, "sad": 0.4, "other": 0.2}
    else:
        probabilities = {"happy": float(shown == "h"), "sad": float(shown == "s")}
    return Prediction.from_probabilities(
        0, "f", probabilities, (0, 0, 9, 9), 0.9, time=time, track=track
    )


@pytest.fixture
def record():
    made = FilmRecord(CLASSES, 0.2)
    for frame, time in enumerate(TIMES):
        found = [
            predict_face(track, shown[frame], time)
            for track, shown in FACES.items()
            if shown[frame] != " "
        ]
        made.add(time, found or [Prediction.without_face(0, "f", time)])
    return made


def sum_seconds(track, kind, begin=0.0, end=1.7):
    """Sums the seconds between two times in which a face shows something, by hand."""
    return sum(
        max(0.0, min(stop, end) - max(start, begin))
        for start, stop, shown in zip(TIMES, UNTIL, FACES[track], strict=True)
        if shown in kind
    )


def test_shares_are_shares_of_the_time_and_not_of_frames(record):
    tracks = record.summarise()
    assert [one.number for one in tracks] == [1, 2, 5]
    assert [(one.begin, one.end, one.frames) for one in tracks] == [
        *((0, 1.7, 5), (0.1, 0.5, 2), (0, 1.7, 3))
    ]
    for one in tracks:
        assert one.seconds == pytest.approx(sum_seconds(one.number, "hs?"))
        for name, kind in (("happy", "h"), ("sad", "s"), ("unsure", "?")):
            expected = sum_seconds(one.number, kind) / one.seconds
            assert one.shares[name] == pytest.approx(expected)
    assert record.end == 1.7


def test_shares_of_parts_are_shares_of_their_time(record):
    edges = np.array([0, 0.25, 0.45, 1.7])
    for track in FACES:
        found = record.compute_shares(track, edges)
        for row, begin, end in zip(found, edges, edges[1:], strict=False):
            expected = [sum_seconds(track, kind, begin, end) / (end - begin) for kind in "hs?"]
            assert row == pytest.approx(expected)


def test_the_plot_shows_the_shares(record):
    tracks = record.summarise()
    figure = plot.draw_plot(record, tracks, "film.mp4")
    assert len(figure.axes) == 3
    for axes, track in zip(figure.axes, tracks, strict=True):
        steps = [patch.get_data() for patch in axes.patches if isinstance(patch, StepPatch)]
        assert len(steps) == len(axes.patches)
        # It is a named tuple, which matplotlib's types call a plain one.
        seconds = [((top - bottom) * np.diff(edges)).sum() for top, edges, bottom in steps]
        assert seconds == pytest.approx([one * track.seconds for one in track.shares.values()])
        assert axes.get_ylabel().startswith(f"{track.number}: ")


def test_many_faces_and_classes_and_none_at_all_are_drawn():
    classes = [f"class {number}" for number in range(12)]
    record = FilmRecord(classes, 0.1)
    empty = plot.draw_plot(record, record.summarise(), "film.mp4")
    assert [text.get_text() for text in empty.axes[0].texts] == ["no face is seen"]
    for frame in range(30):
        probabilities = {name: float(name == f"class {frame % 12}") for name in classes}
        record.add(frame / 10, [
            Prediction.from_probabilities(0, "f", probabilities, None, None, track=track)
            for track in range(1, 3 + frame)
        ])  # fmt: skip
    figure = plot.draw_plot(record, record.summarise(), "$x$.mp4")
    assert [int(axes.get_ylabel().partition(":")[0]) for axes in figure.axes] == list(range(1, 13))
    assert "19 faces that are seen for less time are left out" in " ".join(
        figure.texts[1].get_text().split()
    )


def test_the_table_has_a_row_per_face(record):
    rows = list(csv.DictReader(format_csv(record.summarise(), record.classes).splitlines()))
    assert list(rows[0]) == [
        *("track", "begin", "end", "seconds", "frames", "happy", "sad", "unsure")
    ]
    assert [row["track"] for row in rows] == ["1", "2", "5"]
    assert rows[0]["unsure"] == f"{1 / 1.7:.4f}"


def test_a_summary_of_each_film_is_written(predictor, tmp_path, capsys, monkeypatch):
    # the frames are plain, so that nothing would pass the check of faces
    unchecked = Predictor(predictor.network, check_faces=False)
    monkeypatch.setattr(predict_files, "load", lambda _, **options: unchecked)
    sources = [tmp_path / name / "a.mp4" for name in ("one", "two")]
    for source in sources:
        source.parent.mkdir()
        films.write_with_sound(source, TIMES, sound=None)
    folder = tmp_path / "summary"
    command = ["predict", "run", *map(str, sources), "--crops", "--summary", str(folder)]
    assert cli.main(command) == 0
    assert {path.name for path in folder.iterdir()} == {
        *("a_faces.csv", "a_faces.png", "a-2_faces.csv", "a-2_faces.png")
    }
    (row,) = csv.DictReader((folder / "a_faces.csv").read_text().splitlines())
    assert (row["track"], row["frames"], row["begin"]) == ("1", "5", "0.000")
    with Image.open(folder / "a_faces.png") as image:
        assert image.width > 1000
    assert f"wrote {folder}" in capsys.readouterr().err


def test_a_summary_of_images_alone_is_refused(photos, tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["predict", "run", str(photos / "wall.png"), "--summary", str(tmp_path / "out")])
    assert "expected a video for --summary" in capsys.readouterr().err
