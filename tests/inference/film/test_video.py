"""Tests of videos and webcams: damaged files, Ctrl-C, smoothing, memory."""

import csv
import weakref

import cv2
import numpy as np
import pytest

from faceemo.commands import cli
from faceemo.inference.ahead import THREADS
from faceemo.inference.film import video
from faceemo.inference.film.video import Video
from faceemo.inference.predictor import MAX_BATCH
from tests.support.inference import films

FOURCC = {".avi": "MJPG", ".mkv": "mp4v", ".webm": "VP80", ".mp4": "mp4v"}


def read_rows(text):
    return list(csv.DictReader(text.splitlines()))


def read_probabilities(rows):
    return np.array([[float(row[name]) for name in list(row)[4:8]] for row in rows])


def damage(path):
    """Cuts a video off in its middle; an .mp4, whose table is at its end, is overwritten there."""
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    if path.suffix == ".mp4":
        whole[middle : middle + len(whole) // 4] = bytes(len(whole) // 4)
    else:
        del whole[middle:]
    path.write_bytes(whole)


@pytest.mark.parametrize("suffix", FOURCC)
def test_a_damaged_video_is_unreadable_from_the_damage_on(
    with_small_predictor, tmp_path, capsys, suffix
):
    film = films.write(tmp_path / f"film{suffix}", fourcc=FOURCC[suffix])
    if not film.exists():
        pytest.skip("OpenCV has no such encoder here")
    problems = [frame.problem for frame in Video(film).read_frames()]
    assert problems == [""] * 40
    damage(film)
    assert cli.main(["predict", "run", str(film), "--crops", "--format", "csv"]) == 1
    printed = capsys.readouterr()
    *rows, last = read_rows(printed.out)
    assert 15 <= len(rows) <= 25
    assert (last["status"], last["name"]) == ("unreadable", f"{film}#{len(rows)}")
    problem = f"{film}#{len(rows)}: the video ends here, of 40 frames"
    assert f"1 could not be read:\n  {problem}" in printed.err


class FakeCapture:
    """A `cv2.VideoCapture` that claims `count` frames and delivers `read`, the last at `last` s."""

    def __init__(self, count, fps, read, last):
        self.about = {cv2.CAP_PROP_FRAME_COUNT: count, cv2.CAP_PROP_FPS: fps}
        self.about[cv2.CAP_PROP_POS_MSEC] = 1000 * last
        self.left = read

    def __call__(self, _):
        return self

    def get(self, what):
        return self.about.get(what, 4)  # pixels a side

    def isOpened(self):
        return True

    def grab(self):
        self.left -= 1
        return self.left >= 0

    def retrieve(self):
        return True, np.zeros((4, 4, 3), np.uint8)

    def release(self):
        pass


@pytest.mark.parametrize(
    ("name", "source", "problem"),
    [
        # without frames that players leave out at the ends
        ("a.mp4", FakeCapture(400, 30, 398, 13), ""),
        # without frames from the middle
        ("a.mp4", FakeCapture(400, 30, 360, 13), "the video ends here, of 400 frames"),
        ("a.mkv", FakeCapture(1800, 30, 500, 59), ""),  # a rate that varies
        ("a.mkv", FakeCapture(1800, 30, 500, 16), "the video ends here, of 1800 frames"),
        ("a.webm", FakeCapture(-9e16, 30, 50, 2), ""),  # as browsers write them
        ("a.avi", FakeCapture(0, 30, 0, 0), "no frame can be decoded"),
    ],
)
def test_an_estimated_frame_count_does_not_make_a_video_damaged(
    monkeypatch, tmp_path, name, source, problem
):
    monkeypatch.setattr(video.cv2, "VideoCapture", source)
    *_, last = Video(tmp_path / name, every=10).read_frames()
    assert last.problem.partition(":")[0] == problem


def smooth_rows(plain, decay):
    """Smooths probabilities [N, C] over the rows, by the formula."""
    found = [plain[0]]
    for row in plain[1:]:
        found.append(decay * found[-1] + (1 - decay) * row)
    return np.array(found)


@pytest.mark.slow
def test_a_webcam_is_predicted_drawn_smoothed_and_ended_by_ctrl_c(
    with_small_predictor, predictor, film, tmp_path, monkeypatch, capsys
):
    # A camera's frames come by the clock, so two runs would search different ones.
    monkeypatch.setattr(predictor, "_interval", 0.0)
    drawn = tmp_path / "drawn.mp4"
    found = []
    for smooth in (0, 0.6):
        camera = films.FakeCamera(film, frames=12)
        options = ["--smooth", str(smooth), "--draw", str(drawn), "--format", "csv"]
        with monkeypatch.context() as patched:
            patched.setattr(video.cv2, "VideoCapture", camera)
            assert cli.main(["predict", "run", "--webcam", "0", *options]) == 0
        assert camera.opened == [0]
        rows = read_rows(capsys.readouterr().out)
        assert [row["name"] for row in rows] == [f"webcam 0#{frame}" for frame in range(12)]
        found.append(read_probabilities(rows))
        written = cv2.VideoCapture(str(drawn))
        assert written.get(cv2.CAP_PROP_FRAME_COUNT) == 12
        ok, frame = written.read()
        assert ok
        assert np.ptp(frame.astype(int), axis=-1).max() > 50, "there is colour around the face"
    plain, calm = found
    np.testing.assert_allclose(calm, smooth_rows(plain, 0.6), atol=1e-5)
    assert np.abs(calm - plain).max() > 1e-3


def test_frames_taken_whole_as_faces_are_smoothed_too(with_small_predictor, film, capsys):
    found = []
    for smooth in ("0", "0.8"):
        assert cli.main(["predict", "run", str(film), "--crops", "--smooth", smooth,
                                "--format", "csv"]) == 0  # fmt: skip
        found.append(read_probabilities(read_rows(capsys.readouterr().out)))
    plain, calm = found
    np.testing.assert_allclose(calm, smooth_rows(plain, 0.8), atol=1e-5)
    assert np.abs(calm - plain).max() > 1e-3


def test_an_unplugged_webcam_is_reported(with_small_predictor, film, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(video.cv2, "VideoCapture", films.FakeCamera(film, frames=99))
    assert cli.main(["predict", "run", "--webcam", "0", "--crops"]) == 1
    assert "webcam 0#40: the camera delivers no more frames" in capsys.readouterr().err


def test_ctrl_c_during_a_video_ends_the_command(
    with_small_predictor, film, tmp_path, monkeypatch, capsys
):
    source = films.FakeCamera(film, frames=20)
    monkeypatch.setattr(video.cv2, "VideoCapture", source)
    out, drawn = tmp_path / "predictions.csv", tmp_path / "drawn.mp4"
    for more in (["--out", str(out), "--draw", str(drawn)], [str(film), "--out", str(out)]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(["predict", "run", "--crops", str(film), *more])
        assert stopped.value.code == 130
        assert "interrupted" in capsys.readouterr().err
    assert not out.exists()
    assert not drawn.exists()
    assert len(source.opened) == 2, "the next video was opened"


def test_memory_does_not_grow_with_the_length_of_a_video(
    with_small_predictor, tmp_path, monkeypatch, capsys
):
    """At any time only the frames that wait for a batch or for threads are alive."""
    film = films.write(tmp_path / "film.mp4", frames=5 * MAX_BATCH)
    alive, counts = weakref.WeakSet(), []
    read_frames = Video.read_frames

    def counted(self):
        for frame in read_frames(self):
            alive.add(frame.pixels)
            counts.append(len(alive))
            yield frame
            del frame

    monkeypatch.setattr(Video, "read_frames", counted)
    assert cli.main(["predict", "run", str(film), "--crops"]) == 0
    assert len(counts) == 5 * MAX_BATCH
    assert MAX_BATCH <= max(counts) <= MAX_BATCH + 2 + THREADS
