"""Films and cameras: what of a cut one is answered, what Ctrl-C ends, smoothing, memory."""

import csv
import weakref

import cv2
import numpy as np
import pytest

from faceemo.inference import cli, video
from faceemo.inference.predictor import LIMIT
from faceemo.inference.video import Video
from tests.support.inference import films

KINDS = {".avi": "MJPG", ".mkv": "mp4v", ".webm": "VP80", ".mp4": "mp4v"}


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def chances(rows):
    return np.array([[float(row[name]) for name in list(row)[4:8]] for row in rows])


def cut(path):
    """Cuts it off in its middle; an .mp4, which has its table at the end, is emptied there."""
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    if path.suffix == ".mp4":
        whole[middle : middle + len(whole) // 4] = bytes(len(whole) // 4)
    else:
        del whole[middle:]
    path.write_bytes(whole)


@pytest.mark.parametrize("suffix", KINDS)
def test_a_film_that_is_cut_is_unreadable_from_there_on(at_once, tmp_path, capsys, suffix):
    film = films.write(tmp_path / f"film{suffix}", fourcc=KINDS[suffix])
    if not film.exists():
        pytest.skip("OpenCV has no such encoder here")
    answers = [picture.problem for picture in Video(film).pictures()]
    assert answers == [""] * 40
    cut(film)
    assert cli.predict(["run", str(film), "--crops", "--format", "csv"]) == 1
    printed = capsys.readouterr()
    rows = rows_of(printed.out)
    assert 15 <= len(rows) <= 25
    assert f"1 not read:\n  {film}#{len(rows)}: it ends here, of 40 frames" in printed.err


class Told:
    """A source that says how long it is, and gives what it gives."""

    def __init__(self, count, fps, read, last):
        self.about = {cv2.CAP_PROP_FRAME_COUNT: count, cv2.CAP_PROP_FPS: fps}
        self.about[cv2.CAP_PROP_POS_MSEC] = 1000 * last
        self.left = read

    def __call__(self, _):
        return self

    def get(self, what):
        return self.about[what]

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
        ("a.mp4", Told(400, 30, 398, 13), ""),  # what a player leaves out at the ends
        ("a.mp4", Told(400, 30, 360, 13), "it ends here, of 400 frames"),  # out of its middle
        ("a.mkv", Told(1800, 30, 500, 59), ""),  # a rate that varies
        ("a.mkv", Told(1800, 30, 500, 16), "it ends here, of 1800 frames"),
        ("a.webm", Told(-9e16, 30, 50, 2), ""),  # as browsers write them
        ("a.avi", Told(0, 30, 0, 0), "no frame can be decoded"),
    ],
)
def test_what_containers_only_estimate_accuses_no_film(
    monkeypatch, tmp_path, name, source, problem
):
    monkeypatch.setattr(video.cv2, "VideoCapture", source)
    *_, last = Video(tmp_path / name, every=10).pictures()
    assert last.problem.partition(":")[0] == problem


def smoothed(plain, keep):
    """The formula: each row follows the one before."""
    found = [plain[0]]
    for row in plain[1:]:
        found.append(keep * found[-1] + (1 - keep) * row)
    return np.array(found)


def test_a_camera_is_read_drawn_smoothed_and_ended(at_once, film, tmp_path, monkeypatch, capsys):
    drawn = tmp_path / "drawn.mp4"
    found = []
    for smooth in (0, 0.6):
        camera = films.Camera(film, frames=12)
        options = ["--smooth", str(smooth), "--draw", str(drawn), "--format", "csv"]
        with monkeypatch.context() as patched:
            patched.setattr(video.cv2, "VideoCapture", camera)
            assert cli.predict(["run", "--webcam", "0", *options]) == 0
        assert camera.opened == [0]
        rows = rows_of(capsys.readouterr().out)
        assert [row["name"] for row in rows] == [f"webcam 0#{frame}" for frame in range(12)]
        found.append(chances(rows))
        written = cv2.VideoCapture(str(drawn))
        assert written.get(cv2.CAP_PROP_FRAME_COUNT) == 12
        ok, frame = written.read()
        assert ok
        assert np.ptp(frame.astype(int), axis=-1).max() > 50, "there is colour around the face"
    plain, calm = found
    np.testing.assert_allclose(calm, smoothed(plain, 0.6), atol=1e-5)
    assert np.abs(calm - plain).max() > 1e-3


def test_frames_that_are_faces_are_smoothed_too(at_once, film, capsys):
    found = []
    for smooth in ("0", "0.8"):
        assert cli.predict(["run", str(film), "--crops", "--smooth", smooth,
                                "--format", "csv"]) == 0  # fmt: skip
        found.append(chances(rows_of(capsys.readouterr().out)))
    plain, calm = found
    np.testing.assert_allclose(calm, smoothed(plain, 0.8), atol=1e-5)
    assert np.abs(calm - plain).max() > 1e-3


def test_a_camera_that_is_unplugged_is_told(at_once, film, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(video.cv2, "VideoCapture", films.Camera(film, frames=99))
    assert cli.predict(["run", "--webcam", "0", "--crops"]) == 1
    assert "webcam 0#40: the camera gives no more" in capsys.readouterr().err


def test_ctrl_c_on_a_film_ends_all(at_once, film, tmp_path, monkeypatch, capsys):
    source = films.Camera(film, frames=20)
    monkeypatch.setattr(video.cv2, "VideoCapture", source)
    out, drawn = tmp_path / "answers.csv", tmp_path / "drawn.mp4"
    for more in (["--out", str(out), "--draw", str(drawn)], [str(film), "--out", str(out)]):
        with pytest.raises(SystemExit) as stopped:
            cli.predict(["run", "--crops", str(film), *more])
        assert stopped.value.code == 130
        assert "interrupted" in capsys.readouterr().err
    assert not out.exists()
    assert not drawn.exists()
    assert len(source.opened) == 2, "the next film was begun"


def test_a_film_of_any_length_needs_the_same_memory(at_once, tmp_path, monkeypatch, capsys):
    """As many frames are there as wait for a batch, however many there were."""
    film = films.write(tmp_path / "film.mp4", frames=5 * LIMIT)
    alive, most = weakref.WeakSet(), []
    pictures = Video.pictures

    def counted(self):
        for picture in pictures(self):
            alive.add(picture.pixels)
            most.append(len(alive))
            yield picture
            del picture

    monkeypatch.setattr(Video, "pictures", counted)
    assert cli.predict(["run", str(film), "--crops"]) == 0
    assert len(most) == 5 * LIMIT
    assert LIMIT <= max(most) <= LIMIT + 2
